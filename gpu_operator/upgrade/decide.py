"""Decides what happens next on one Node. PURE. Source: NVIDIA GPU Operator documentation, GPU Driver Upgrades.

Each decision follows from the observed state alone. So a controller that dies loses nothing, and the next one repeats nothing harmful.
"""

from gpu_operator.spec import UpgradePolicy
from gpu_operator.upgrade.decision import Decision
from gpu_operator.upgrade.facts import NodeFacts
from gpu_operator.upgrade.keys import SKIP, State
from gpu_operator.upgrade.removal import decide_removal

RESTART_S = 3600.0
"""A driver pod that is not ready after this time is a failure. NVIDIA's driver compiles its modules for at most 21 minutes."""
VALIDATION_S = 600.0
TIMED = (State.WAIT, State.DELETION, State.DRAIN, State.RESTART, State.VALIDATION)
"""States in which the time since their begin counts."""


def decide(node: NodeFacts, policy: UpgradePolicy, now: float, working_since: float = 0.0) -> Decision:
    """now, working_since: see `elapsed`."""
    passed = elapsed(node, now, working_since)
    match node.state:
        case State.UNKNOWN | State.DONE | State.REQUIRED:
            return _decide_idle(node)
        case State.CORDON:
            return Decision(
                state=State.WAIT if policy.wait_for_completion.pod_selector else State.DELETION, cordons=True
            )
        case State.WAIT | State.DELETION | State.DRAIN:
            return decide_removal(node, policy, passed)
        case State.RESTART:
            return _decide_restart(node, passed)
        case State.VALIDATION | State.UNCORDON:
            return _decide_end(node, passed)
        case State.FAILED:
            return _decide_failed(node)


FINISH = Decision(state=State.DONE, uncordons=True)


def elapsed(node: NodeFacts, now: float, working_since: float) -> float:
    """Returns the seconds that count for the time-out of the Node's state; 0 if its begin is not known, or in the future.

    now: Unix seconds. working_since: since then, the controller works without a gap. A time in which the controller could neither evict nor
    delete pods is not a failure of the Node. Only jobs run also without the controller.
    """
    progress = node.progress
    if progress is None or progress.state is not node.state:
        return 0.0
    since = progress.since if node.state is State.WAIT else max(progress.since, working_since)
    return max(0.0, now - since)


def _decide_idle(node: NodeFacts) -> Decision:
    """Decides about a Node whose upgrade is not in progress."""
    if node.is_skipped:
        return Decision(state=node.state, reason=f"the label {SKIP} is true" if node.is_outdated else "")
    if node.is_current:
        return _settle(node)
    if not node.is_outdated:
        return Decision(state=node.state)
    if node.state is not State.REQUIRED:
        return Decision(state=State.REQUIRED)
    if not node.is_ready:
        return Decision(state=State.REQUIRED, reason="the Node is not Ready")
    return Decision(state=State.REQUIRED, is_candidate=True)


def _settle(node: NodeFacts) -> Decision:
    """Ends the upgrade of a Node whose driver pod is current already. A Node that the upgrade cordoned needs a driver that is ready."""
    if not node.is_cordoned:
        return Decision(state=State.DONE)
    return FINISH if node.is_running else Decision(state=State.FAILED, reason=describe_driver(node))


def _decide_restart(node: NodeFacts, passed: float) -> Decision:
    if node.is_running:
        return Decision(state=State.VALIDATION if node.is_validated is False else State.UNCORDON)
    pod, why = node.pod, describe_driver(node)
    if pod is not None and node.is_current and pod.problem:
        return Decision(state=State.FAILED, reason=why)
    if passed >= RESTART_S:
        return Decision(state=State.FAILED, reason=f"{why} after {RESTART_S:.0f} s")
    delete = (pod.pod,) if pod is not None and node.is_outdated and not pod.pod.is_terminating else ()
    return Decision(state=node.state, reason=why, delete=delete, after_s=RESTART_S - passed)


def _decide_end(node: NodeFacts, passed: float) -> Decision:
    if not node.is_running:
        return Decision(state=State.RESTART)
    if node.state is State.UNCORDON:
        return FINISH
    if node.is_validated is not False:
        return Decision(state=State.UNCORDON)
    why = f"the condition GPUValidated of the Node is not True: {node.validation_message}".rstrip(": ")
    if passed >= VALIDATION_S:
        return Decision(state=State.FAILED, reason=why)
    return Decision(state=node.state, reason=why, after_s=VALIDATION_S - passed)


def _decide_failed(node: NodeFacts) -> Decision:
    """A failed Node recovers when its driver is ready, and gets another attempt when the DaemonSet has another revision."""
    if node.is_running and node.is_validated is not False:
        return FINISH
    failed = node.progress is not None and node.progress.state is State.FAILED
    if node.is_outdated and failed and node.progress is not None and node.progress.revision != node.revision:
        return Decision(state=State.REQUIRED)
    return Decision(state=State.FAILED, reason=node.reason)


def describe_driver(node: NodeFacts) -> str:
    """Returns why the newest driver is not ready on the Node. It does not name the pod, so that the status can group equal reasons."""
    pod = node.pod
    if node.revision is None:
        return "the newest revision of the driver's DaemonSet is not known"
    if not node.is_ready:
        return "the Node is not Ready"
    if pod is None:
        return "the Node has no driver pod"
    if pod.pod.is_terminating:
        return "the old driver pod has not ended"
    if not node.is_current:
        return "the driver pod has an old revision"
    return f"the driver pod is not ready{f': {pod.problem}' if pod.problem else ''}"
