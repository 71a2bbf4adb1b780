"""The request for a layout, and the result of one attempt to apply it. PURE."""

from enum import StrEnum

import msgspec

from mig_manager.busy_policy import BusyPolicy
from mig_manager.policy import Usage, describe_busy


class Request(msgspec.Struct, frozen=True, kw_only=True):
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


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """The GPUs have the requested layouts. changes: a clause for each GPU that was changed."""

    changes: tuple[str, ...] = ()


class Busy(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing was changed, because devices that must go are in use. refusals: why pods were not evicted, one clause each."""

    usage: Usage
    refusals: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        return "; ".join((describe_busy(self.usage), *self.refusals))


class Stopping(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing was changed yet, because GPU clients of others have not ended. message: a clause."""

    message: str


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The GPUs do not have the requested layout. reason: INVALID or FAILED. has_driver: False if the driver is not loaded yet."""

    reason: Reason
    message: str
    has_driver: bool = True


class Rebooting(msgspec.Struct, frozen=True, kw_only=True):
    """A reboot of the node is planned, or systemd executes it. message: a sentence."""

    message: str


class Released(msgspec.Struct, frozen=True):
    """A release request has closed NVML. The process attempts again when the release ends."""


class NotReady(msgspec.Struct, frozen=True):
    """The configs are not read yet. Their first state causes a new attempt."""


Outcome = Applied | Busy | Failed | NotReady | Rebooting | Released | Stopping
