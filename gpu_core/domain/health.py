"""The health of one GPU, or of one GPU instance that NVML names: a state machine that also recovers. PURE.

healthy → suspect → unhealthy → recovering → healthy. A GPU whose handle merely works again has not recovered. A GPU returns when all of
this was true for the whole hold-down:

- The polled state is healthy: not lost, no failed query, recovery action none, no failed or pending remapping, no missing device node.
- Every recorded Xid is cleared. If the driver does not report recovery actions, the class of the Xid decides what clears the Xid:
  - device: a healthy discovery after the Xid
  - reset, reboot: a healthy discovery after a reset of the GPU. A GPU was reset if the GPU was missing from a discovery and is back, or if
    its error counter restarted at 0.
  - replace: nothing that software observes; a reboot of the node removes the record

Time is monotonic seconds, passed in by the caller.
"""

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from gpu_core.domain.evidence import GpuState, RecoveryAction, XidEvent
from gpu_core.domain.xid import XidClass, XidPolicy, xid_of
from node_core.values import replace

MAX_INCIDENTS = 16
"""Incidents per GPU; the most severe and newest are retained."""


class Phase(StrEnum):
    """recovering: healthy again, but not yet for the hold-down. suspect: usable, but a person should check the GPU."""

    HEALTHY = "healthy"
    SUSPECT = "suspect"
    UNHEALTHY = "unhealthy"
    RECOVERING = "recovering"

    @property
    def is_usable(self) -> bool:
        return self in (Phase.HEALTHY, Phase.SUSPECT)


class HealthPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """hold_down: seconds that a GPU has to be healthy before it returns. max_returns: within flap_period seconds.

    polled: whether the polled state of a GPU counts, besides Xids.
    """

    xids: XidPolicy = msgspec.field(default_factory=XidPolicy)
    hold_down: float = 60.0
    max_returns: int = 3
    flap_period: float = 3600.0
    polled: bool = True


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """An Xid that made the GPU unhealthy. at: of the last occurrence. reset_at: when the GPU was reset afterwards, or None."""

    xid: int
    kind: XidClass
    at: float
    reset_at: float | None = None

    @property
    def reason(self) -> str:
        return f"Xid {self.xid}: {xid_of(self.xid).description}"


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """incidents: the most severe first. state, state_at: of the last discovery; None before the first, and while the GPU is missing.

    was_missing: the GPU was missing, and no discovery has read it since. healthy_since: None while a problem exists. returns: the times
    at which the GPU returned, within the flap period. max_nvlinks: the most active NVLinks that a discovery found.
    """

    phase: Phase = Phase.HEALTHY
    incidents: tuple[Incident, ...] = ()
    state: GpuState | None = None
    state_at: float | None = None
    was_missing: bool = False
    healthy_since: float | None = None
    returns: tuple[float, ...] = ()
    max_nvlinks: int = 0


def record_xid(health: Health, event: XidEvent, policy: HealthPolicy) -> Health:
    """The health after an Xid. A harmless Xid changes nothing."""
    kind = policy.xids.classify(event.xid)
    if kind.is_harmless:
        return health
    others = [incident for incident in health.incidents if incident.xid != event.xid]
    latest = max((incident.at for incident in health.incidents if incident.xid == event.xid), default=event.at)
    incidents = sorted([Incident(xid=event.xid, kind=kind, at=max(event.at, latest)), *others], key=_severity)
    return replace(health, phase=Phase.UNHEALTHY, incidents=tuple(incidents[:MAX_INCIDENTS]), healthy_since=None)


def add_incidents(health: Health, other: Health) -> Health:
    """The health with the incidents that another process recorded for the same GPU. Equal to `health` if it has these incidents."""
    known = {incident.xid for incident in health.incidents}
    missing = [incident for incident in other.incidents if incident.xid not in known]
    returns = max(health.returns, other.returns, key=len)
    if not missing:
        return replace(health, returns=returns)
    incidents = sorted([*health.incidents, *missing], key=_severity)
    return replace(
        health,
        phase=Phase.UNHEALTHY,
        incidents=tuple(incidents[:MAX_INCIDENTS]),
        returns=returns,
        healthy_since=None,
    )


def observe(health: Health, state: GpuState | None, now: float, policy: HealthPolicy) -> Health:
    """The health after a successful discovery. state: None if the GPU is missing."""
    if state is None:
        return replace(health, was_missing=True, state=None, state_at=None, healthy_since=None)
    incidents = health.incidents
    if not state.lost and (health.was_missing or _has_counter_restarted(health.state, state)):
        incidents = tuple(replace(incident, reset_at=now) for incident in incidents)
    health = replace(
        health,
        incidents=incidents,
        state=state,
        state_at=now,
        was_missing=health.was_missing and state.lost,
        max_nvlinks=max(health.max_nvlinks, state.nvlinks or 0),
    )
    return advance(health, now, policy)


def advance(health: Health, now: float, policy: HealthPolicy) -> Health:
    """The health at a later time. Time alone never makes a GPU usable: only a discovery does."""
    returns = tuple(at for at in health.returns if now - at < policy.flap_period)
    health = replace(health, returns=returns)
    if tuple(_blocking_reasons(health, policy)):
        return replace(health, phase=Phase.UNHEALTHY, healthy_since=None)
    if not health.phase.is_usable:
        since = health.state_at if health.healthy_since is None else health.healthy_since
        health = replace(health, phase=Phase.RECOVERING, healthy_since=since)
        if not _may_return(health, policy):
            return health
        health = replace(health, returns=(*returns, now))
    phase = Phase.SUSPECT if suspect_reasons(health) else Phase.HEALTHY
    return replace(health, phase=phase, incidents=(), healthy_since=None)


def next_discovery_at(health: Health, policy: HealthPolicy) -> float | None:
    """The time at which a discovery can change the phase; None if only an event can."""
    if health.phase.is_usable or health.state_at is None:
        return None
    if health.phase is Phase.UNHEALTHY:
        return max((incident.at for incident in health.incidents if incident.at >= health.state_at), default=None)
    quiet = _quiet_since(health)
    full = health.returns[0] + policy.flap_period if len(health.returns) >= policy.max_returns else quiet
    return max(quiet + policy.hold_down, full)


def unusable_reason(health: Health, policy: HealthPolicy) -> str | None:
    """Why the GPU is not usable; None if the GPU is usable."""
    if health.phase.is_usable:
        return None
    if reasons := tuple(_blocking_reasons(health, policy)):
        return ", ".join(reasons)
    cause = ", ".join(incident.reason for incident in health.incidents) or "the GPU was unhealthy"
    if health.state is not None and (blockers := _recovery_blockers(health.state)):
        return f"{cause}, {', '.join(blockers)}"
    if len(health.returns) >= policy.max_returns:
        return f"{cause}, passes checks again but has returned {len(health.returns)} times within {policy.flap_period:.0f} s"
    return f"{cause}, passes checks again and returns after {policy.hold_down:.0f} s without errors"


def suspect_reasons(health: Health) -> tuple[str, ...]:
    """What a person should check although the GPU is usable. A job on one GPU, or over other links, does not need every NVLink."""
    state = health.state
    if state is None:
        return ()
    down = 0 if state.nvlinks is None else health.max_nvlinks - state.nvlinks
    links = (f"{down} of {health.max_nvlinks} NVLinks went down",) if down > 0 else ()
    return (*_pending_repairs(state), *links, *state.fabric)


def _pending_repairs(state: GpuState) -> tuple[str, ...]:
    repairs = {
        "a row remapping is pending": state.remap_pending,
        "a page retirement is pending": state.retirement_pending,
    }
    return tuple(sentence for sentence, is_pending in repairs.items() if is_pending)


def return_condition(health: Health, policy: HealthPolicy) -> str | None:
    """How a GPU that is not usable returns, as a sentence."""
    if health.phase.is_usable:
        return None
    kinds = {incident.kind for incident in health.incidents}
    if XidClass.REPLACE in kinds:
        return "the GPU gets no new pods until the node is rebooted"
    returns = f"the GPU gets new pods again after {policy.hold_down:.0f} s without errors"
    if kinds & {XidClass.RESET, XidClass.REBOOT}:
        return f"if the driver requires no recovery, or after a reset, {returns}"
    return f"if it passes all checks, {returns}"


def advice(health: Health, policy: HealthPolicy) -> str | None:
    """What an administrator does about a GPU that is not usable; None if the GPU returns by itself."""
    state = health.state
    is_blocked = state is not None and bool(_recovery_blockers(state))
    is_returning = health.phase is Phase.RECOVERING and not is_blocked and len(health.returns) < policy.max_returns
    if health.phase.is_usable or is_returning:
        return None
    if state is not None and state.recovery_action in _ADVICE:
        return _ADVICE[state.recovery_action]
    if health.incidents:
        return xid_of(health.incidents[0].xid).advice
    if state is not None and state.remap_failed:
        return "drain the node and replace the GPU"
    if state is not None and state.missing_nodes:
        return "create the device nodes (nvidia-modprobe -u -c=0), or start nvidia-persistenced"
    return "check the kernel log for NVRM lines; drain the node and reset the GPU"


_ADVICE = {
    RecoveryAction.RESET: "drain the GPU and reset it (nvidia-smi --gpu-reset)",
    RecoveryAction.REBOOT: "drain the node and reboot it",
    RecoveryAction.DRAIN_P2P: "stop the workloads that use this GPU together with other GPUs, then check the recovery action again",
    RecoveryAction.DRAIN_RESET: "wait until the workloads on the GPU end, then reset the GPU (nvidia-smi --gpu-reset)",
}


def _severity(incident: Incident) -> tuple[int, float]:
    return -incident.kind.rank, -incident.at


def _has_counter_restarted(before: GpuState | None, now: GpuState) -> bool:
    """Volatile counters start at 0 when the driver is loaded or the GPU is reset."""
    if before is None or before.uncorrectable is None or now.uncorrectable is None:
        return False
    return now.uncorrectable < before.uncorrectable


def _blocking_reasons(health: Health, policy: HealthPolicy) -> Iterator[str]:
    """Why the GPU is unhealthy at present."""
    if health.state is not None:
        yield from _state_faults(health.state, policy)
    yield from (incident.reason for incident in health.incidents if not _is_cleared(incident, health))


def _state_faults(state: GpuState, policy: HealthPolicy) -> Iterator[str]:
    needs_reset = state.lost and state.recovery_action is RecoveryAction.RESET
    if needs_reset:
        yield "the GPU needs a reset"
    elif state.lost:
        is_lost = state.fault is None or "GPU_IS_LOST" in state.fault
        yield "the GPU is lost" if is_lost else f"the GPU cannot be read ({state.fault})"
    if not policy.polled:
        return
    if state.recovery_action not in (None, RecoveryAction.NONE) and not needs_reset:
        yield f"the driver reports the recovery action {state.recovery_action}"
    if state.remap_failed:
        yield "a row remapping failed"
    if state.missing_nodes:
        yield f"device nodes are missing: {', '.join(state.missing_nodes)}"


def _is_cleared(incident: Incident, health: Health) -> bool:
    """Whether the last discovery showed that the recovery for this Xid was done."""
    if health.state is None or health.state_at is None or health.state_at <= incident.at:
        return False
    was_reset = incident.reset_at is not None and incident.reset_at > incident.at
    match incident.kind:
        case XidClass.REPLACE:
            return False
        case XidClass.RESET | XidClass.REBOOT:
            return was_reset or health.state.recovery_action is RecoveryAction.NONE
        case _:
            return True


def _may_return(health: Health, policy: HealthPolicy) -> bool:
    """Counts the hold-down up to the last discovery, because only a discovery shows that the GPU is healthy."""
    if health.state is None or health.state_at is None or health.healthy_since is None:
        return False
    is_long_enough = health.state_at - _quiet_since(health) >= policy.hold_down
    is_clean = not policy.polled or not _recovery_blockers(health.state)
    return is_long_enough and is_clean and len(health.returns) < policy.max_returns


def _recovery_blockers(state: GpuState) -> tuple[str, ...]:
    """Problems that prevent the return of a GPU, but do not make a healthy GPU unhealthy."""
    return (*_pending_repairs(state), *([state.fault] if state.fault else []))


def _quiet_since(health: Health) -> float:
    """Since when a recovering GPU has had neither a fault nor an Xid."""
    return max([health.healthy_since or 0.0, *(incident.at for incident in health.incidents)])
