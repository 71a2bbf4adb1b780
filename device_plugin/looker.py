"""Looks at the GPUs in a thread beside the agent's: a driver that hangs must not keep the kubelet from being told what we know."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from device_plugin.specs import Surroundings
from node_core.domain.inventory import Inventory
from node_core.errors import HostReadError, NodeError
from node_core.host.mig_caps import MigCaps, read_mig_caps
from node_core.host.root import HostRoot

log = structlog.get_logger(__name__)

NO_CAPS = MigCaps()


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a look found. caps: where the device nodes of MIG devices are; caps_problem: why they could not be read, or None.

    surroundings: what of the host answers depend on. began: when, in monotonic seconds.
    """

    inventory: Inventory
    caps: MigCaps = NO_CAPS
    caps_problem: str | None = None
    surroundings: Surroundings = Surroundings()  # noqa: RUF009 - frozen
    began: float = 0.0


def read_look(look: Callable[[], Inventory], root: HostRoot, surround: Callable[[Inventory], Surroundings]) -> Looked:
    """look: raises NvmlError, and so does this."""
    inventory = look()
    surroundings = surround(inventory)
    if inventory.simulated or not any(gpu.mig_enabled for gpu in inventory.gpus):
        return Looked(inventory=inventory, surroundings=surroundings)
    try:
        return Looked(inventory=inventory, caps=read_mig_caps(root), surroundings=surroundings)
    except HostReadError as error:
        return Looked(inventory=inventory, caps_problem=str(error), surroundings=surroundings)


def start_thread(run: Callable[[], None]) -> None:
    threading.Thread(target=run, name="look", daemon=True).start()


class Looker:
    """One look at a time; who asks meanwhile gets one more after it. look: raises NvmlError. wake: called when a result can be taken.

    start: runs a look, and usually does not wait for it.
    """

    def __init__(
        self,
        look: Callable[[], Looked],
        wake: Callable[[], None],
        *,
        start: Callable[[Callable[[], None]], None] = start_thread,
    ) -> None:
        self._look = look
        self._wake = wake
        self._start = start
        self._lock = threading.Lock()
        self._is_wanted = False
        self._is_looking = False
        self._result: Looked | NodeError | None = None

    def ask(self) -> None:
        """For a look that begins now, or as soon as the one that goes on has ended."""
        with self._lock:
            self._is_wanted = True
            starts, self._is_looking = not self._is_looking, True
        if starts:
            self._start(self._run)

    def take(self) -> Looked | NodeError | None:
        """How the newest look ended, once."""
        with self._lock:
            result, self._result = self._result, None
            return result

    def _run(self) -> None:
        while self._begins():
            result = self._look_once()
            with self._lock:
                self._result = result
            self._wake()

    def _begins(self) -> bool:
        with self._lock:
            begins, self._is_wanted = self._is_wanted, False
            self._is_looking = begins
            return begins

    def _look_once(self) -> Looked | NodeError:
        try:
            return self._look()
        except NodeError as error:
            return error
        except Exception as error:  # a fault of ours in one look must not be the end of looking
            log.exception("look_failed")
            return NodeError(f"the look at the GPUs failed: {type(error).__name__}: {error}")
