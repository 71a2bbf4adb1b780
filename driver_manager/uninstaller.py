"""Prepares the node for a driver container: removes another driver, or leaves the wanted one alone.

Each step finds out what is left to do, so that an attempt that was interrupted at any point is completed by the next one.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from driver_manager.clients import NvmlRelease, pause_clients
from driver_manager.cordon import NodeCordon
from driver_manager.driver_files import DriverFiles
from driver_manager.evictor import Evictor
from driver_manager.modules import NOUVEAU, ORDER, ModuleUnloader, read_module, read_modules
from driver_manager.plan import Action, DriverFacts, Plan, WantedDriver, plan_driver
from driver_manager.wait import Waiter
from gpu_core.clients.daemon_sets import DaemonSetPause
from gpu_core.host.host_driver import find_host_driver
from gpu_core.nvml.driver_version import read_module_version
from node_core.errors import DriverError, HostReadError, KubeError, NodeError
from node_core.host.root import HostRoot

log = structlog.get_logger(__name__)

ATTEMPTS = 5
"""Of a request that restores the Node."""
STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})


@contextmanager
def delay_stop() -> Iterator[None]:
    """Delays the signals that stop the process until the end of the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def read_facts(root: HostRoot, files: DriverFiles) -> DriverFacts:
    """Reads the driver of the node. Raises HostReadError."""
    missing = [folder for folder in ("/proc", "/sys") if not root.entries(folder)]
    if missing:
        hint = "mount / of the host there, or correct --host-root"
        raise HostReadError(f"{root.base} does not contain the host's {' and '.join(missing)}", hint=hint)
    return DriverFacts(
        host_driver=find_host_driver(root),
        modules=read_modules(root),
        version=read_module_version(root),
        digest=files.read_digest(),
        has_nouveau=read_module(root, NOUVEAU) is not None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """evicts_gpu_pods: before the modules are unloaded. drains: if a module is in use after that, or a pod with a GPU does not end."""

    wanted: WantedDriver
    evicts_gpu_pods: bool = True
    drains: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverUninstaller:
    """Everything that touches the node or the API server."""

    root: HostRoot
    files: DriverFiles
    unloader: ModuleUnloader
    release: NvmlRelease
    pause: DaemonSetPause
    cordon: NodeCordon
    evictor: Evictor
    waiter: Waiter
    options: Options

    def plan(self) -> tuple[Plan, DriverFacts]:
        """Raises HostReadError."""
        facts = read_facts(self.root, self.files)
        return plan_driver(facts, self.options.wanted), facts

    def run(self) -> Action:
        """Raises NodeError with every problem. Restores the Node also after an error, and after an attempt that was interrupted."""
        plan, facts = self.plan()
        log.info("driver_planned", action=str(plan.action), why=plan.why, modules=[each.name for each in facts.modules])
        problems: list[str] = []
        try:
            self._apply(plan.action)
        except NodeError as error:
            problems.append(str(error))
        finally:
            problems += self._restore()
        if problems:
            raise DriverError("; ".join(problems))
        return plan.action

    def _apply(self, action: Action) -> None:
        match action:
            case Action.STOP:
                return
            case Action.SKIP:
                self.files.clean()
            case Action.CLEAN:
                self.files.forget_digest()
                self._clean()
            case Action.REPLACE:
                self._replace()

    def _replace(self) -> None:
        self.files.forget_digest()
        pause_clients(self.pause, self.waiter)
        if self.options.evicts_gpu_pods:
            self._evict_or_drain()
        self.release.begin()
        try:
            unloaded = self.unloader.unload(ORDER)
        except DriverError:
            if not self.options.drains:
                raise
            self._drain()
            self.release.begin()  # the drain can take longer than a request is valid
            unloaded = self.unloader.unload(ORDER)
        log.info("driver_unloaded", modules=unloaded)
        self._clean()

    def _evict_or_drain(self) -> None:
        self.cordon.begin()
        try:
            self.evictor.evict_gpu_pods()
        except DriverError as error:
            if not self.options.drains:
                raise
            log.warning("gpu_pods_not_evicted", why=str(error), effect="the node is drained")
            self._drain()

    def _drain(self) -> None:
        self.cordon.begin()
        self.evictor.drain()

    def _clean(self) -> None:
        self.files.clean()
        if self.unloader.unload((NOUVEAU,)):
            log.info("nouveau_unloaded")

    def _restore(self) -> list[str]:
        """Returns what could not be restored. A stop waits: after the end of the pod, nobody else restores the Node."""
        with delay_stop():
            self.release.end()
            return [problem for each in (self.pause.end, self.cordon.end) if (problem := self._try(each)) is not None]

    def _try(self, action: Callable[[], object]) -> str | None:
        """Repeats a request that fails. Returns the last error."""
        failure = None
        for attempt in range(ATTEMPTS):
            if attempt:
                self.waiter.sleep(1.0)
            try:
                action()
            except KubeError as error:
                failure = f"the Node {self.cordon.node_name} is not restored: {error}"
                if error.is_final:
                    break
            else:
                return None
        return failure
