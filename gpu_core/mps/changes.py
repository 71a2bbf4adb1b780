"""Plans the changes of one MPS folder. PURE."""

from collections.abc import Mapping
from enum import StrEnum, auto

import msgspec

from gpu_core.domain.inventory import GpuUuid
from gpu_core.mps.spec import MpsDaemonSpec, MpsSettings


class MpsState(msgspec.Struct, frozen=True, kw_only=True):
    """modes: the original nvmlComputeMode_t of each GPU. pid: the pid of the daemon; None before its start.

    settings: the settings of the daemon; None until the daemon has accepted all of them. is_damaged: the file cannot be decoded.
    """

    modes: Mapping[GpuUuid, int] = msgspec.field(default_factory=dict)
    pid: int | None = None
    settings: MpsSettings | None = None
    is_damaged: bool = False


class MpsChange(StrEnum):
    """QUIT: stop the plugin's daemon. RESTORE: restore compute modes of GPUs that no daemon uses. START: set compute modes and start."""

    QUIT = auto()
    RESTORE = auto()
    START = auto()


class MpsObserved(msgspec.Struct, frozen=True, kw_only=True):
    """state: the state file; None if the plugin owns nothing in the folder. is_alive: a daemon runs or responds in the folder."""

    state: MpsState | None
    is_alive: bool


def plan_mps_changes(desired: MpsDaemonSpec | None, observed: MpsObserved) -> tuple[MpsChange, ...]:
    """Returns the changes in the order in which they must be applied; empty if the folder has the desired state.

    A daemon that another program started is used unchanged and is never stopped.
    """
    state = observed.state
    if state is None:
        return () if desired is None or observed.is_alive else (MpsChange.START,)
    if desired is not None and observed.is_alive and state.settings == desired.settings:
        return ()
    quit_first = (MpsChange.QUIT,) if observed.is_alive else ()
    if desired is None:
        return (*quit_first, MpsChange.RESTORE)
    must_restore = not state.modes.keys() <= {gpu.uuid for gpu in desired.gpus}
    return (*quit_first, *((MpsChange.RESTORE,) if must_restore else ()), MpsChange.START)
