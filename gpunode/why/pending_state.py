"""The state of a pod without a Node. PURE."""

from gpunode.why.evaluate import Evaluation
from gpunode.why.explanation import State
from gpunode.why.scheduler_words import SCHEDULED
from gpunode.why.subject import DEFAULT_SCHEDULER, Subject


def select_state(
    subject: Subject, found: Evaluation, *, has_other_reasons: bool, claims_are_blocked: bool = False
) -> tuple[State, str]:
    """Returns the state, and the rest of a sentence whose subject is the pod.

    has_other_reasons: the scheduler has reasons that are not evaluated here. claims_are_blocked: a ResourceClaim cannot be allocated.
    """
    if subject.creation_errors:
        return State.NOT_CREATED, "has too few pods: the API server refuses to create them"
    if obstacle := _obstacle(subject):
        then = f"Otherwise {found.share} could run it" if found.fitting else "Also, none of the nodes can run it now"
        return State.WAITING, f"{obstacle}. {then}"
    if not found.fitting:
        return State.BLOCKED, f"cannot be placed: {_describe_none(found.total)}"
    if has_other_reasons or claims_are_blocked:
        reason = "its claims cannot be allocated" if claims_are_blocked else "the scheduler has another reason"
        words = f"its selectors, tolerations and requests fit {found.share}, but {reason}"
        return State.BLOCKED, f"cannot be placed: {words}"
    return State.PLACEABLE, f"can be placed: {found.share} can run it"


def is_ignored(subject: Subject) -> bool:
    """Whether a live Pod names another scheduler, and no scheduler has written to the Pod."""
    name = subject.pod.spec.scheduler_name or DEFAULT_SCHEDULER
    is_handled = any(each.type == SCHEDULED for each in subject.pod.status.conditions)
    return subject.is_live and name != DEFAULT_SCHEDULER and not is_handled


def _obstacle(subject: Subject) -> str:
    """Returns why the scheduler does not handle the Pod; empty if it does."""
    if subject.pause is not None:
        return subject.pause.sentence
    if gates := [str(each.get("name", "")) for each in subject.pod.spec.scheduling_gates]:
        return f"waits until its scheduling gates are removed: {', '.join(gates)}"
    if is_ignored(subject):
        return f"waits for the scheduler {subject.pod.spec.scheduler_name}, which has not handled it"
    return ""


def _describe_none(total: int) -> str:
    if not total:
        return "the cluster has no nodes"
    return "the only node cannot run it" if total == 1 else f"none of the {total} nodes can run it"
