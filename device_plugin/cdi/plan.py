"""Which specs there are for a node, and by which names its devices can be asked for. PURE."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from device_plugin.cdi import driver as nvml
from device_plugin.cdi import tegra, wsl
from device_plugin.cdi.devices import Devices, plan_devices
from device_plugin.cdi.hooks import missing_note
from device_plugin.cdi.kinds import CdiClass, Part, kind, qualified_name
from device_plugin.cdi.optional import plan_optional
from device_plugin.cdi.options import CdiOptions
from node_core.domain.cdi import ALL, Edits, Spec, make_spec, with_all
from node_core.domain.inventory import Inventory, Platform
from node_core.host.device_nodes import DeviceNodes
from node_core.host.driver_files import DriverFiles
from node_core.host.tegra import LISTS


@dataclass(frozen=True, slots=True, kw_only=True)
class CdiPlan:
    """specs: by file name. names: class -> id of a device (a UUID, `all`, `tegra`, an IMEX channel) -> its name in the class's spec.

    A class or device that is not in names cannot be asked for. notes: a sentence for each thing that is left out.
    """

    specs: Mapping[str, Spec] = field(default_factory=dict)
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def qualified_names(self) -> frozenset[str]:
        """How every device of every spec can be asked for."""
        named = ((cls, name) for cls, names in self.names.items() for name in names.values())
        return frozenset(qualified_name(cls, name) for cls, name in named)


def plan_specs(inventory: Inventory, driver: DriverFiles, nodes: DeviceNodes, options: CdiOptions) -> CdiPlan:
    """Everything that can be had: a device that lacks something is left out, and never another one because of it."""
    parts = [_gpus(inventory, driver, nodes, options), *plan_optional(driver, nodes, options)]
    return CdiPlan(
        specs={part.spec.file_name: part.spec for part in parts if part.spec},
        names={part.cls.value: part.names for part in parts if part.spec},
        notes=(*nodes.problems, *(note for part in parts for note in part.notes)),
    )


def _gpus(inventory: Inventory, driver: DriverFiles, nodes: DeviceNodes, options: CdiOptions) -> Part:
    match inventory.platform:
        case Platform.WSL if driver.wsl:
            found, common, hooks = wsl.plan_wsl(inventory, nodes, options), wsl.wsl_edits(driver, options), wsl.HOOKS
        case Platform.TEGRA if driver.tegra is not None:
            found = tegra.plan_tegra(inventory, driver.tegra, nodes, options)
            common, hooks = tegra.tegra_edits(inventory, driver.tegra, options), tegra.HOOKS
        case _ if driver.libraries:
            found = plan_devices(inventory, nodes, options)
            found = replace(found, notes=(*nvml.driver_notes(inventory, driver, nodes, options), *found.notes))
            common, hooks = nvml.driver_edits(driver, nodes, options), nvml.HOOKS
        case _:
            found, common, hooks = Devices(notes=_no_driver(inventory, options)), Edits(), ()
    devices = with_all(found.devices)
    return Part(
        cls=CdiClass.GPU,
        spec=make_spec(kind(CdiClass.GPU), devices, common),
        names={ALL: ALL, **found.names},
        notes=(*driver.problems, *found.notes, *(missing_note(options, hooks) if devices else ())),
    )


def _no_driver(inventory: Inventory, options: CdiOptions) -> tuple[str, ...]:
    """A spec without libraries would start containers in which nothing works."""
    if not inventory.gpus:
        return ()
    host, seen = options.roots.driver, options.roots.driver_seen
    missing = (
        f"lists of files in {LISTS}" if inventory.platform is Platform.TEGRA else "libraries like libcuda.so.<version>"
    )
    where = f"There is no CDI spec for gpu: no {missing} below {seen}, which should be {host} of the host"
    return (f"{where}; mount it there, or set DRIVER_ROOT_CTR_PATH to where it is.",)
