"""The request for a layout, and the result of one attempt to apply it. PURE."""

from dataclasses import dataclass
from enum import StrEnum

from mig_manager.busy_policy import BusyPolicy
from mig_manager.policy import Usage, describe_busy


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """config: the name of a MIG config, from the label of the Node; None to complete an interrupted change only.

    policy: for pods that use devices that must go. is_overdue: the time to wait for these pods is over.
    has_paused: the Node has a record of paused DaemonSets.
    """

    config: str | None
    policy: BusyPolicy = BusyPolicy.WAIT
    is_overdue: bool = False
    has_paused: bool = False


class Reason(StrEnum):
    """The reasons of the Node condition MIGConfigured."""

    APPLIED = "Applied"
    APPLYING = "Applying"
    WAITING = "WaitingForPods"
    IN_USE = "DevicesInUse"
    INVALID = "InvalidConfig"
    FAILED = "ApplyFailed"
    HANGS = "DriverHangs"
    REBOOTING = "Rebooting"
    NOT_REQUESTED = "NotRequested"


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The GPUs have the requested layouts. changes: a clause for each GPU that was changed."""

    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """Nothing was changed, because devices that must go are in use. refusals: why pods were not evicted, one clause each."""

    usage: Usage
    refusals: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        return "; ".join((describe_busy(self.usage), *self.refusals))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """Nothing was changed yet, because GPU clients of others have not ended. message: a clause."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The GPUs do not have the requested layout. reason: INVALID or FAILED. has_driver: False if the driver is not loaded yet."""

    reason: Reason
    message: str
    has_driver: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebooting:
    """A reboot of the node is planned, or systemd executes it. message: a sentence."""

    message: str


@dataclass(frozen=True, slots=True)
class Released:
    """A release request has closed NVML. The process attempts again when the release ends."""


@dataclass(frozen=True, slots=True)
class NotReady:
    """The configs are not read yet. Their first state causes a new attempt."""


Outcome = Applied | Busy | Failed | NotReady | Rebooting | Released | Stopping
