"""Writes CDI specifications that match the node, and reads what Allocate responses need to know about the host.

The discovery thread calls this module, because the driver's files may be on a slow disk.
"""

from collections.abc import Mapping

import msgspec

from device_plugin.allocate.strategies import AUTO, CDI_LISTS
from gpu_core.cdi.groups import groups_reason
from gpu_core.cdi.hook_program import HookProgramReader
from gpu_core.cdi.kinds import CONTROL_NODES, IMEX_CHANNEL_PATH, CdiClass, kind
from gpu_core.cdi.options import CdiOptions, option_notes
from gpu_core.cdi.plan import CdiPlan, plan_specs
from gpu_core.cdi.roots import Roots, discover_roots
from gpu_core.cdi.write import SpecWriter
from gpu_core.domain.cdi import spec_file_name
from gpu_core.domain.inventory import Inventory, Platform
from gpu_core.host.device_nodes import DeviceNodes, ReadNode, read_device_nodes, read_node
from gpu_core.host.driver_files import DriverFiles, read_driver_files
from gpu_core.mps.tools import DriverPrograms, find_programs
from gpu_core.settings.nvidia_settings import ResponseSettings
from node_core.host.root import HostRoot
from node_core.values import replace


class HostContext(msgspec.Struct, frozen=True, kw_only=True):
    """What Allocate responses need to know about the host.

    cdi_names: see CdiPlan.names. no_specs_reason: why no GPU has a CDI name, or None. dev_root: the host folder that contains `dev`.
    control_nodes, imex_channels: the existing ones. problems: why specifications cannot be written; the names of files that have all
    devices remain. imex_problems: a sentence for each configured channel that is missing. notes: a sentence for each item that the
    specifications omit. programs: of the driver.
    """

    cdi_names: Mapping[str, Mapping[str, str]] = msgspec.field(default_factory=dict)
    no_specs_reason: str | None = "the first discovery of GPUs has not ended"
    dev_root: str = "/"
    control_nodes: tuple[str, ...] = ()
    imex_channels: tuple[int, ...] = ()
    problems: tuple[str, ...] = ()
    imex_problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    programs: DriverPrograms = msgspec.field(default_factory=DriverPrograms)


class CdiSpecSync:
    """host: the root with /proc and /sys. writer: writes the folder of specifications. read: reads one device node."""

    def __init__(self, host: HostRoot, writer: SpecWriter, *, read: ReadNode = read_node) -> None:
        self._host = host
        self._writer = writer
        self._read_node = read
        self._hooks = HookProgramReader(host)

    def sync(self, inventory: Inventory, settings: ResponseSettings, runtime: str = "") -> HostContext:
        """Reads driver files and device nodes, writes specifications that differ, and removes the plugin's other specifications.

        runtime: the Node's container runtime, `containerd://2.0.1`; empty if unknown.
        """
        roots, driver, nodes = self._read(inventory, settings)
        plan = self._plan(inventory, driver, nodes, roots, settings, runtime) if _needs_specs(settings) else CdiPlan()
        problems = self._writer.write(plan)
        names = self._provided_names(plan) if problems else plan.names
        channels = tuple(each for each in settings.imex_channels if f"{IMEX_CHANNEL_PATH}{each}" in nodes.nodes)
        return HostContext(
            cdi_names=names,
            no_specs_reason=None if CdiClass.GPU in names else _no_specs_reason(problems, plan, settings),
            dev_root=roots.dev,
            control_nodes=tuple(path for path in CONTROL_NODES if path in nodes.nodes)
            if inventory.platform is Platform.NVML
            else (),
            imex_channels=channels,
            problems=tuple(problems),
            imex_problems=tuple(
                f"IMEX channel {each} is configured, but {IMEX_CHANNEL_PATH}{each} does not exist"
                for each in settings.imex_channels
                if each not in channels
            ),
            notes=(*_option_notes(settings), *plan.notes),
            programs=find_programs(roots, driver),
        )

    def _provided_names(self, plan: CdiPlan) -> Mapping[str, Mapping[str, str]]:
        """Returns the names of the classes whose files provide all devices, although they cannot be written."""
        specs = {name: plan.specs[spec_file_name(kind(name))] for name in plan.names}
        return {name: plan.names[name] for name, spec in specs.items() if self._writer.provides(spec)}

    def plan(self, inventory: Inventory, settings: ResponseSettings, runtime: str = "") -> CdiPlan:
        """Returns what `sync` would write."""
        roots, driver, nodes = self._read(inventory, settings)
        plan = self._plan(inventory, driver, nodes, roots, settings, runtime)
        return replace(plan, notes=(*_option_notes(settings), *plan.notes))

    def _read(self, inventory: Inventory, settings: ResponseSettings) -> tuple[Roots, DriverFiles, DeviceNodes]:
        loaded = inventory.driver.version if inventory.driver else None
        roots = discover_roots(
            settings.driver_root,
            settings.dev_root,
            settings.driver_root_mount,
            loaded=loaded,
            library_dirs=settings.library_dirs,
        )
        driver = read_driver_files(roots.driver_mount, self._host, loaded=loaded, library_dirs=settings.library_dirs)
        nodes = read_device_nodes(
            HostRoot(roots.dev_mount),
            self._host,
            addresses=[gpu.address for gpu in inventory.gpus if gpu.address is not None],
            others=driver.tegra.devices if driver.tegra else (),
            read=self._read_node,
        )
        return roots, driver, nodes

    def _plan(
        self,
        inventory: Inventory,
        driver: DriverFiles,
        nodes: DeviceNodes,
        roots: Roots,
        settings: ResponseSettings,
        runtime: str,
    ) -> CdiPlan:
        hooks = self._hooks.read(settings.cdi.hook_path, roots)
        options = CdiOptions(
            roots=roots,
            id_strategy=settings.id_strategy,
            hook_path=hooks.path,
            hook_words=hooks.words,
            hook_reason=hooks.why,
            disabled_hooks=settings.cdi.disabled_hooks,
            groups_reason=groups_reason(runtime),
            feature_flags=settings.cdi.feature_flags,
            imex_channels=settings.imex_channels,
            gdrcopy=settings.gdrcopy,
            gds=settings.gds,
            mofed=settings.mofed,
        )
        return plan_specs(inventory, driver, nodes, options)


def _option_notes(settings: ResponseSettings) -> tuple[str, ...]:
    return tuple(option_notes(settings.cdi.feature_flags, settings.cdi.disabled_hooks))


def _needs_specs(settings: ResponseSettings) -> bool:
    return AUTO in settings.device_lists or not CDI_LISTS.isdisjoint(settings.device_lists)


def _no_specs_reason(problems: tuple[str, ...], plan: CdiPlan, settings: ResponseSettings) -> str:
    if not _needs_specs(settings):
        return "the device list strategies do not use CDI specifications"
    return next(iter((*problems, *plan.notes)), "the node has no GPU for a CDI specification")
