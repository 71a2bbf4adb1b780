"""Discovers the GPUs in a separate thread, so that a driver that hangs does not block the agent."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from device_plugin.cdi_sync import HostContext
from gpu_core.domain.inventory import Inventory
from gpu_core.host.mig_caps import MigCaps, read_mig_caps
from node_core.errors import HostReadError, NodeError
from node_core.host.root import HostRoot

log = structlog.get_logger(__name__)

NO_CAPS = MigCaps()


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryResult:
    """The result of one successful discovery.

    caps: the device nodes of MIG capabilities. caps_problem: why these nodes cannot be read, or None. context: what Allocate responses
    need to know about the host. began: when the discovery started, in monotonic seconds.
    """

    inventory: Inventory
    caps: MigCaps = NO_CAPS
    caps_problem: str | None = None
    context: HostContext = HostContext()  # noqa: RUF009 - frozen
    began: float = 0.0


def discover(
    read: Callable[[], Inventory], root: HostRoot, read_context: Callable[[Inventory], HostContext]
) -> DiscoveryResult:
    """Reads the inventory and what Allocate responses need to know about the host. Raises the NvmlError of `read`."""
    inventory = read()
    context = read_context(inventory)
    if inventory.simulated or not any(gpu.mig_enabled for gpu in inventory.gpus):
        return DiscoveryResult(inventory=inventory, context=context)
    try:
        return DiscoveryResult(inventory=inventory, caps=read_mig_caps(root), context=context)
    except HostReadError as error:
        return DiscoveryResult(inventory=inventory, caps_problem=str(error), context=context)


def start_thread(run: Callable[[], None]) -> None:
    threading.Thread(target=run, name="discovery", daemon=True).start()


class InventoryPoller:
    """Runs one discovery at a time. Requests during a discovery cause exactly one more discovery.

    discover: may raise NvmlError. wake: called when a result is available. start: runs a function, usually in a new thread.
    """

    def __init__(
        self,
        discover: Callable[[], DiscoveryResult],
        wake: Callable[[], None],
        *,
        start: Callable[[Callable[[], None]], None] = start_thread,
    ) -> None:
        self._discover = discover
        self._wake = wake
        self._start = start
        self._lock = threading.Lock()
        self._is_requested = False
        self._is_running = False
        self._result: DiscoveryResult | NodeError | None = None

    def request(self) -> None:
        """Requests a discovery that starts now or after the current one. If no thread can start, the result is a NodeError."""
        with self._lock:
            self._is_requested = True
            starts, self._is_running = not self._is_running, True
        if starts:
            try:
                self._start(self._run)
            except RuntimeError as error:
                with self._lock:
                    self._is_running = self._is_requested = False
                    self._result = NodeError(f"cannot start the discovery of GPUs: {error}")
                self._wake()

    def pop_result(self) -> DiscoveryResult | NodeError | None:
        """Returns the newest result once; None if there is no new result."""
        with self._lock:
            result, self._result = self._result, None
            return result

    def _run(self) -> None:
        while self._claim_request():
            result = self._discover_once()
            with self._lock:
                self._result = result
            self._wake()

    def _claim_request(self) -> bool:
        with self._lock:
            self._is_running, self._is_requested = self._is_requested, False
            return self._is_running

    def _discover_once(self) -> DiscoveryResult | NodeError:
        try:
            return self._discover()
        except NodeError as error:
            return error
        except Exception as error:  # an unexpected error in one discovery must not prevent the next
            log.exception("discovery_failed")
            return NodeError(f"the discovery of GPUs failed: {type(error).__name__}: {error}")
