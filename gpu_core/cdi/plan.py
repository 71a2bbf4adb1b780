"""Plans the CDI specifications of a node and the names of their devices. PURE."""

from collections.abc import Mapping

import msgspec

from gpu_core.cdi import driver as nvml
from gpu_core.cdi import tegra, wsl
from gpu_core.cdi.devices import PlannedDevices, plan_devices
from gpu_core.cdi.hooks import missing_notes
from gpu_core.cdi.kinds import CdiClass, ClassPlan, kind
from gpu_core.cdi.optional import plan_optional
from gpu_core.cdi.options import CdiOptions
from gpu_core.domain.cdi import ALL, Edits, Spec, make_spec, with_all, without_groups
from gpu_core.domain.inventory import Inventory, Platform
from gpu_core.host.device_nodes import DeviceNodes
from gpu_core.host.driver_files import DriverFiles
from gpu_core.host.tegra import LISTS
from node_core.values import replace

_GROUPS_NOTE = "CDI specifications omit the groups of device nodes: {}. In containers only root can open nodes that the host restricts."


class CdiPlan(msgspec.Struct, frozen=True, kw_only=True):
    """specs: file name -> specification. names: class -> device id (a UUID, `all`, `tegra` or an IMEX channel) -> CDI name.

    A class or device that is not in names cannot be requested. notes: a sentence for each omitted item.
    """

    specs: Mapping[str, Spec] = msgspec.field(default_factory=dict)
    names: Mapping[str, Mapping[str, str]] = msgspec.field(default_factory=dict)
    notes: tuple[str, ...] = ()


def plan_specs(inventory: Inventory, driver: DriverFiles, nodes: DeviceNodes, options: CdiOptions) -> CdiPlan:
    """Plans all possible specifications. A device with missing files or nodes is skipped and does not affect other devices."""
    parts = [_gpus(inventory, driver, nodes, options), *plan_optional(driver, nodes, options)]
    planned = {part.spec.file_name: part.spec for part in parts if part.spec}
    specs = {name: without_groups(spec) for name, spec in planned.items()} if options.groups_reason else planned
    return CdiPlan(
        specs=specs,
        names={part.cls.value: part.names for part in parts if part.spec},
        notes=(
            *nodes.problems,
            *(note for part in parts for note in part.notes),
            *((_GROUPS_NOTE.format(options.groups_reason),) if specs != planned else ()),
        ),
    )


def _gpus(inventory: Inventory, driver: DriverFiles, nodes: DeviceNodes, options: CdiOptions) -> ClassPlan:
    match inventory.platform:
        case Platform.WSL if driver.wsl:
            plan, common, hooks = wsl.plan_wsl(inventory, nodes, options), wsl.wsl_edits(driver, options), wsl.HOOKS
        case Platform.TEGRA if driver.tegra is not None:
            plan = tegra.plan_tegra(inventory, driver.tegra, nodes, options)
            common, hooks = tegra.tegra_edits(inventory, driver.tegra, options), tegra.HOOKS
        case _ if driver.libraries:
            plan = plan_devices(inventory, nodes, options)
            plan = replace(plan, notes=(*nvml.driver_notes(inventory, driver, nodes, options), *plan.notes))
            common, hooks = nvml.driver_edits(driver, nodes, options), nvml.HOOKS
        case _:
            plan, common, hooks = PlannedDevices(notes=_no_driver_note(inventory, options)), Edits(), ()
    devices = with_all(plan.devices)
    return ClassPlan(
        cls=CdiClass.GPU,
        spec=make_spec(kind(CdiClass.GPU), devices, common),
        names={ALL: ALL, **plan.names},
        notes=(*driver.problems, *plan.notes, *(missing_notes(options, hooks) if devices else ())),
    )


def _no_driver_note(inventory: Inventory, options: CdiOptions) -> tuple[str, ...]:
    """Without the driver's libraries there is no specification, because its containers would start but could not use the GPU."""
    if not inventory.gpus:
        return ()
    host, mount = options.roots.driver, options.roots.driver_mount
    missing = (
        f"file lists in {LISTS}" if inventory.platform is Platform.TEGRA else "libraries like libcuda.so.<version>"
    )
    if str(mount) == host:
        todo = "Install the driver, or set --driver-root to its root or --driver-library-dirs to the folders of its libraries"
        return (f"No CDI specification for gpu: {host} contains no {missing}. {todo}.",)
    note = f"No CDI specification for gpu: {mount}, the mount of the host's {host}, contains no {missing}."
    return (f"{note} Mount {host} at {mount}, or set DRIVER_ROOT_CTR_PATH to its mount path.",)
