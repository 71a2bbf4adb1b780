"""What of the host answers depend on: its device nodes, and the CDI specifications that are kept as the node is.

Used by the thread that looks at the GPUs: files of a driver may lie on a disk that is slow.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from device_plugin.allocate.strategies import AUTO, CDI_LISTS, CONTROL_NODES, IMEX_NODES
from device_plugin.cdi.kinds import CdiClass
from device_plugin.cdi.options import CdiOptions
from device_plugin.cdi.plan import CdiPlan, plan_specs
from device_plugin.cdi.roots import Roots, find_hook, find_roots
from device_plugin.cdi.write import SpecWriter
from device_plugin.settings import ResponseSettings
from node_core.domain.inventory import Inventory, Platform
from node_core.host.device_nodes import DeviceNodes, ReadNode, read_device_nodes, read_node
from node_core.host.driver_files import DriverFiles, read_driver_files
from node_core.host.root import HostRoot

MPS_CONTROL, SMI = "nvidia-cuda-mps-control", "nvidia-smi"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """cdi_names: of CdiPlan. no_specs: why no GPU has a CDI name, or None. dev_root: on the host, the folder that holds `dev`.

    control_nodes, imex_channels: those that exist. missing: sentences on what was asked for and is not there. notes: on what specs
    leave out. programs: name -> where we find MPS's own; libraries: a loader path for them.
    """

    cdi_names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    no_specs: str | None = "nothing has been looked at yet"
    dev_root: str = "/"
    control_nodes: tuple[str, ...] = ()
    imex_channels: tuple[int, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    programs: Mapping[str, Path] = field(default_factory=dict)
    libraries: str | None = None


class SpecKeeper:
    """host: for /proc and /sys. writer: of the folder of specs. read: looks at one device node."""

    def __init__(self, host: HostRoot, writer: SpecWriter, *, read: ReadNode = read_node) -> None:
        self._host = host
        self._writer = writer
        self._read_node = read

    def look(self, inventory: Inventory, settings: ResponseSettings) -> Surroundings:
        """Reads driver and nodes, and writes the specs that differ; takes ours away where nobody wants any."""
        roots, driver, nodes = self._read(inventory, settings)
        plan = _plan(inventory, driver, nodes, roots, settings) if wants_specs(settings) else CdiPlan()
        problems = self._writer.write(plan)
        names = {} if problems else plan.names
        channels = tuple(each for each in settings.imex_channels if f"{IMEX_NODES}{each}" in nodes.nodes)
        return Surroundings(
            cdi_names=names,
            no_specs=None if CdiClass.GPU in names else _why_none(problems, plan, settings),
            dev_root=roots.dev,
            control_nodes=() if inventory.platform is not Platform.NVML else _present(CONTROL_NODES, nodes),
            imex_channels=channels,
            missing=(*problems, *_missing_channels(settings, channels)),
            notes=plan.notes,
            programs=_programs(roots, driver),
            libraries=_library_path(roots, driver),
        )

    def plan(self, inventory: Inventory, settings: ResponseSettings) -> CdiPlan:
        """What `look` would write."""
        roots, driver, nodes = self._read(inventory, settings)
        return _plan(inventory, driver, nodes, roots, settings)

    def _read(self, inventory: Inventory, settings: ResponseSettings) -> tuple[Roots, DriverFiles, DeviceNodes]:
        roots = find_roots(settings.driver_root, settings.dev_root, settings.driver_root_seen)
        driver = read_driver_files(roots.driver_seen, self._host)
        nodes = read_device_nodes(
            HostRoot(roots.dev_seen),
            self._host,
            addresses=[gpu.address for gpu in inventory.gpus if gpu.address is not None],
            others=driver.tegra.devices if driver.tegra else (),
            read=self._read_node,
        )
        return roots, driver, nodes


def wants_specs(settings: ResponseSettings) -> bool:
    return AUTO in settings.device_lists or not CDI_LISTS.isdisjoint(settings.device_lists)


def _plan(
    inventory: Inventory, driver: DriverFiles, nodes: DeviceNodes, roots: Roots, settings: ResponseSettings
) -> CdiPlan:
    options = CdiOptions(
        roots=roots,
        id_strategy=settings.id_strategy,
        hook_path=find_hook(settings.cdi.hook_path, roots),
        disabled_hooks=settings.cdi.disabled_hooks,
        feature_flags=settings.cdi.feature_flags,
        imex_channels=settings.imex_channels,
        gdrcopy=settings.gdrcopy,
        gds=settings.gds,
        mofed=settings.mofed,
    )
    return plan_specs(inventory, driver, nodes, options)


def _why_none(problems: tuple[str, ...], plan: CdiPlan, settings: ResponseSettings) -> str:
    if not wants_specs(settings):
        return "no CDI specifications are asked for"
    return next(iter((*problems, *plan.notes)), "there is no GPU to write a CDI specification of")


def _present(paths: Iterable[str], nodes: DeviceNodes) -> tuple[str, ...]:
    return tuple(path for path in paths if path in nodes.nodes)


def _missing_channels(settings: ResponseSettings, present: tuple[int, ...]) -> tuple[str, ...]:
    absent = (each for each in settings.imex_channels if each not in present)
    return tuple(f"IMEX channel {each} is asked for, and there is no {IMEX_NODES}{each}" for each in absent)


def _programs(roots: Roots, driver: DriverFiles) -> dict[str, Path]:
    found = {Path(file.path).name: file.path for file in driver.binaries}
    return {name: roots.driver_seen / path.lstrip("/") for name, path in found.items() if name in (MPS_CONTROL, SMI)}


def _library_path(roots: Roots, driver: DriverFiles) -> str | None:
    folders = dict.fromkeys(str((roots.driver_seen / each.path.lstrip("/")).parent) for each in driver.libraries)
    return ":".join(folders) or None
