"""The health of one GPU, or of one GPU instance that NVML names: a state machine with a way back. PURE.

healthy → suspect → unhealthy → recovering → healthy. "The handle answers" is no recovery: a GPU comes back when its polled state is
sound (not lost, all questions answered, recovery action none, no failed or pending remapping, device nodes there), every Xid that hurt
it is made good, and it was so for the whole hold-down. Where the driver does not know recovery actions, the class of the Xid says what
makes it good:

- device: a sound look after it
- reset, reboot: a sound look after the GPU was renewed: it was gone from a look and is back, or began to count its errors from 0 again
- replace: nothing that we see; a reboot forgets it

Time is monotonic seconds, and the caller brings it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

from node_core.domain.evidence import GpuState, RecoveryAction, XidEvent
from node_core.domain.xid import XidClass, XidPolicy, xid_of

MOST_WOUNDS = 16
"""So many different Xids of one GPU are remembered; the worst and newest count."""


class Phase(StrEnum):
    """recovering: sound again, and not yet for long enough. suspect: in use, and something should be looked at."""

    HEALTHY = "healthy"
    SUSPECT = "suspect"
    UNHEALTHY = "unhealthy"
    RECOVERING = "recovering"

    @property
    def is_usable(self) -> bool:
        return self in (Phase.HEALTHY, Phase.SUSPECT)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthPolicy:
    """hold_down: seconds that a GPU has to be sound before it comes back. most_returns: in any flap_period seconds.

    polled: whether what GPUs say of themselves counts beside Xids.
    """

    xids: XidPolicy = field(default_factory=XidPolicy)
    hold_down: float = 60.0
    most_returns: int = 3
    flap_period: float = 3600.0
    polled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Wound:
    """An Xid that took the GPU away. at: the last time. renewed: when the GPU was renewed after it; None as long as it was not."""

    xid: int
    kind: XidClass
    at: float
    renewed: float | None = None

    @property
    def reason(self) -> str:
        return f"Xid {self.xid}: {xid_of(self.xid).what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """wounds: worst first. state, state_at: of the last look; None before one, and while the GPU is not there. was_gone: since when it
    was not there, no look has found it sound. sound_since: None while something is wrong. returns: when it came back, within the flap
    period. most_nvlinks: that were up at a time, as far as looks saw.
    """

    phase: Phase = Phase.HEALTHY
    wounds: tuple[Wound, ...] = ()
    state: GpuState | None = None
    state_at: float | None = None
    was_gone: bool = False
    sound_since: float | None = None
    returns: tuple[float, ...] = ()
    most_nvlinks: int = 0


def strike(health: Health, event: XidEvent, policy: HealthPolicy) -> Health:
    """After an Xid. A harmless one changes nothing."""
    kind = policy.xids.kind(event.xid)
    if kind.is_harmless:
        return health
    others = [wound for wound in health.wounds if wound.xid != event.xid]
    latest = max((wound.at for wound in health.wounds if wound.xid == event.xid), default=event.at)
    wounds = sorted([Wound(xid=event.xid, kind=kind, at=max(event.at, latest)), *others], key=_severity)
    return replace(health, phase=Phase.UNHEALTHY, wounds=tuple(wounds[:MOST_WOUNDS]), sound_since=None)


def look(health: Health, state: GpuState | None, now: float, policy: HealthPolicy) -> Health:
    """After a look at the GPU. None: a sound look did not find it."""
    if state is None:
        return replace(health, was_gone=True, state=None, state_at=None, sound_since=None)
    renewed = not state.lost and (health.was_gone or _counts_anew(health.state, state))
    wounds = tuple(replace(wound, renewed=now) for wound in health.wounds) if renewed else health.wounds
    gone = health.was_gone and state.lost
    nvlinks = max(health.most_nvlinks, state.nvlinks or 0)
    health = replace(health, wounds=wounds, state=state, state_at=now, was_gone=gone, most_nvlinks=nvlinks)
    return advance(health, now, policy)


def advance(health: Health, now: float, policy: HealthPolicy) -> Health:
    """After time has passed. Nothing heals by that alone: see `look`."""
    returns = tuple(at for at in health.returns if now - at < policy.flap_period)
    health = replace(health, returns=returns)
    if tuple(_hurts(health, policy)):
        return replace(health, phase=Phase.UNHEALTHY, sound_since=None)
    if health.phase.is_usable:
        return replace(health, phase=_usable(health), wounds=(), sound_since=None)
    since = health.state_at if health.sound_since is None else health.sound_since
    health = replace(health, phase=Phase.RECOVERING, sound_since=since)
    if not _may_return(health, policy):
        return health
    return replace(health, phase=_usable(health), wounds=(), sound_since=None, returns=(*returns, now))


def next_look(health: Health, policy: HealthPolicy) -> float | None:
    """When a look can change something; None where only the outside can."""
    if health.phase.is_usable or health.state_at is None:
        return None
    if health.phase is Phase.UNHEALTHY:
        return max((wound.at for wound in health.wounds if wound.at >= health.state_at), default=None)
    quiet = _quiet_since(health)
    full = health.returns[0] + policy.flap_period if len(health.returns) >= policy.most_returns else quiet
    return max(quiet + policy.hold_down, full)


def why_unusable(health: Health, policy: HealthPolicy) -> str | None:
    """A sentence; None while the GPU is in use."""
    if health.phase.is_usable:
        return None
    if hurts := tuple(_hurts(health, policy)):
        return "; ".join(hurts)
    said = "; ".join(wound.reason for wound in health.wounds) or "it was unhealthy"
    if health.state is not None and (doubts := _doubts(health.state)):
        return f"{said}; {'; '.join(doubts)}"
    if len(health.returns) >= policy.most_returns:
        return f"{said}; it came back {len(health.returns)} times within {policy.flap_period:.0f} s and has to wait"
    return f"{said}; it is sound again and has to stay so for {policy.hold_down:.0f} s"


def why_suspect(health: Health) -> tuple[str, ...]:
    """What should be looked at though the GPU can be used. A job that needs one GPU, or other links, does not miss an NVLink."""
    state = health.state
    if state is None:
        return ()
    down = health.most_nvlinks - (health.most_nvlinks if state.nvlinks is None else state.nvlinks)
    links = (f"{down} of {health.most_nvlinks} NVLinks that were up are down",) if down > 0 else ()
    return (*_pending(state), *links, *state.fabric)


def _pending(state: GpuState) -> tuple[str, ...]:
    """Repairs."""
    said = {
        "a row remapping is pending": state.remap_pending,
        "a page retirement is pending": state.retirement_pending,
    }
    return tuple(what for what, is_so in said.items() if is_so)


def advice(health: Health) -> str:
    """What a person does about a GPU that cannot be used."""
    state = health.state
    if state is not None and state.recovery_action in _ADVICE:
        return _ADVICE[state.recovery_action]
    if health.wounds:
        return xid_of(health.wounds[0].xid).advice
    if state is not None and state.remap_failed:
        return "drain the node and have the GPU replaced"
    if state is not None and state.missing_nodes:
        return "make the device nodes anew: nvidia-modprobe -u -c=0, or start nvidia-persistenced"
    return "look for NVRM lines in the kernel log; drain the node and reset the GPU"


_ADVICE = {
    RecoveryAction.RESET: "drain the GPU and reset it (nvidia-smi --gpu-reset)",
    RecoveryAction.REBOOT: "drain the node and reboot it",
    RecoveryAction.DRAIN_P2P: "end what uses the GPU together with others, then ask for its recovery action again",
    RecoveryAction.DRAIN_RESET: "let what runs on the GPU end, then reset it (nvidia-smi --gpu-reset)",
}


def _severity(wound: Wound) -> tuple[int, float]:
    return -wound.kind.rank, -wound.at


def _counts_anew(before: GpuState | None, now: GpuState) -> bool:
    """Volatile counters begin at 0 when the driver is loaded or the GPU is reset."""
    if before is None or before.uncorrectable is None or now.uncorrectable is None:
        return False
    return now.uncorrectable < before.uncorrectable


def _usable(health: Health) -> Phase:
    return Phase.SUSPECT if why_suspect(health) else Phase.HEALTHY


def _hurts(health: Health, policy: HealthPolicy) -> Iterator[str]:
    """What keeps the GPU out of use just now."""
    if health.state is not None:
        yield from _faults(health.state, policy)
    yield from (wound.reason for wound in health.wounds if not _is_good(wound, health))


def _faults(state: GpuState, policy: HealthPolicy) -> Iterator[str]:
    if state.lost:
        yield "the GPU is lost"
    if not policy.polled:
        return
    if state.recovery_action not in (None, RecoveryAction.NONE):
        yield f"the driver says that the GPU needs this recovery: {state.recovery_action}"
    if state.remap_failed:
        yield "a row remapping failed"
    if state.missing_nodes:
        yield f"device nodes are missing: {', '.join(state.missing_nodes)}"


def _is_good(wound: Wound, health: Health) -> bool:
    """Whether what the Xid asked for was done, as far as the last look says."""
    if health.state is None or health.state_at is None or health.state_at <= wound.at:
        return False
    renewed = wound.renewed is not None and wound.renewed > wound.at
    match wound.kind:
        case XidClass.REPLACE:
            return False
        case XidClass.RESET | XidClass.REBOOT:
            return renewed or health.state.recovery_action is RecoveryAction.NONE
        case _:
            return True


def _may_return(health: Health, policy: HealthPolicy) -> bool:
    """Only a look tells, so the last one has to be late enough."""
    if health.state is None or health.state_at is None or health.sound_since is None:
        return False
    is_long_enough = health.state_at - _quiet_since(health) >= policy.hold_down
    is_clean = not policy.polled or not _doubts(health.state)
    return is_long_enough and is_clean and len(health.returns) < policy.most_returns


def _doubts(state: GpuState) -> tuple[str, ...]:
    """What keeps a GPU out that nothing else keeps out: pending repairs, and a question that it did not answer."""
    return (*_pending(state), *([state.fault] if state.fault else []))


def _quiet_since(health: Health) -> float:
    """Since when there was neither fault nor Xid. Of a GPU that is recovering."""
    return max([health.sound_since or 0.0, *(wound.at for wound in health.wounds)])
