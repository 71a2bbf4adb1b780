"""A decision about one Node. PURE."""

from dataclasses import dataclass

from gpu_core.pods.eviction import DrainPod
from gpu_operator.upgrade.keys import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """state: the next state, or the present one. reason: why the Node waits or has failed, for people.

    is_candidate: the Node may start if the budget permits. cordons: the Node becomes unschedulable. uncordons: the Node becomes schedulable
    again, unless it was unschedulable before. evict, delete: pods. after_s: seconds until the decision changes without a change of objects.
    """

    state: State
    reason: str = ""
    is_candidate: bool = False
    cordons: bool = False
    uncordons: bool = False
    evict: tuple[DrainPod, ...] = ()
    delete: tuple[DrainPod, ...] = ()
    after_s: float | None = None
