"""Reads the driver's files and the device nodes that containers need, as CDI specifications of all GPUs of the node."""

from collections.abc import Callable
from dataclasses import dataclass

from gpu_core.cdi.groups import groups_reason
from gpu_core.cdi.hook_program import HookProgramReader
from gpu_core.cdi.options import CdiOptions
from gpu_core.cdi.plan import CdiPlan, plan_specs
from gpu_core.cdi.roots import Roots
from gpu_core.domain.inventory import Inventory
from gpu_core.host.device_nodes import read_device_nodes
from gpu_core.host.driver_files import DriverFiles, read_driver_files
from gpu_core.mps.tools import DriverPrograms, find_programs
from node_core.host.root import HostRoot


@dataclass(frozen=True, kw_only=True)
class DriverEdits:
    """host: the root with /proc and /sys. roots: where the driver is now. runtime: the Node's container runtime; empty if unknown.

    loaded: the version of the loaded driver, or None. library_dirs: see GpuSettings. hook_path: of the hook program on the host; None for
    the default.
    """

    host: HostRoot
    roots: Callable[[], Roots]
    runtime: Callable[[], str]
    loaded: Callable[[], str | None] = lambda: None
    library_dirs: tuple[str, ...] = ()
    hook_path: str | None = None

    def plan(self, inventory: Inventory) -> CdiPlan:
        """Plans the specifications of the present devices. A device without device nodes is not in the plan; its notes state why."""
        roots = self.roots()
        driver = self._read(roots, inventory.driver.version if inventory.driver else None)
        nodes = read_device_nodes(
            HostRoot(roots.dev_mount),
            self.host,
            addresses=[gpu.address for gpu in inventory.gpus if gpu.address is not None],
        )
        hooks = HookProgramReader(self.host).read(self.hook_path, roots)
        options = CdiOptions(
            roots=roots,
            hook_path=hooks.path,
            hook_words=hooks.words,
            hook_reason=hooks.why,
            groups_reason=groups_reason(self.runtime()),
            has_mig_parents=True,
        )
        return plan_specs(inventory, driver, nodes, options)

    def programs(self) -> DriverPrograms:
        """Finds nvidia-smi and the MPS programs of the driver that is there now."""
        roots = self.roots()
        return find_programs(roots, self._read(roots, self.loaded()))

    def _read(self, roots: Roots, loaded: str | None) -> DriverFiles:
        return read_driver_files(roots.driver_mount, self.host, loaded=loaded, library_dirs=self.library_dirs)
