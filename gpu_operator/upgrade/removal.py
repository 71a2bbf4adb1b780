"""Decides about the pods of a cordoned Node: waits for jobs, evicts the pods that use GPUs, and drains. PURE.

Source: NVIDIA GPU Operator documentation, GPU Driver Upgrades.
"""

from gpu_core.pods.eviction import DrainPod, select_gpu_pods
from gpu_operator.spec import Drain, PodDeletion, UpgradePolicy, WaitForCompletion
from gpu_operator.upgrade.decision import Decision
from gpu_operator.upgrade.facts import NodeFacts
from gpu_operator.upgrade.keys import State
from gpu_operator.upgrade.pods import describe_blocked, name_pods, select_drained, select_jobs

RETRY_S = 5.0
"""Seconds between two requests to evict a pod, as in `kubectl drain`. Pods that end cause no pass: only driver pods are watched."""
JOBS_S = 15.0
"""Seconds between two reads of the pods of a Node that waits for jobs."""


def decide_removal(node: NodeFacts, policy: UpgradePolicy, passed: float) -> Decision:
    """Decides in the states WAIT, DELETION and DRAIN. passed: seconds since the Node is in its state, as in the other functions."""
    if node.is_current:
        return Decision(state=State.RESTART)
    if node.state is State.WAIT:
        return _wait(node, policy.wait_for_completion, passed)
    if node.state is State.DELETION:
        return _evict(node, policy, passed)
    return _drain(node, policy.drain, passed)


def _wait(node: NodeFacts, options: WaitForCompletion, passed: float) -> Decision:
    jobs, limit = select_jobs(node.pods, options.pod_selector), options.timeout_seconds
    if not jobs or 0 < limit <= passed:
        return Decision(state=State.DELETION)
    reason = f"{name_pods(each.key for each in jobs)} has not completed"
    return Decision(state=node.state, reason=reason, after_s=min(JOBS_S, limit - passed if limit else JOBS_S))


def _evict(node: NodeFacts, policy: UpgradePolicy, passed: float) -> Decision:
    """Evicts the pods that use GPUs. If they cannot be evicted, the drain follows, if it is enabled."""
    pods = select_gpu_pods(node.pods, node.claimants)
    decision = _remove(node, pods, policy.pod_deletion, "spec.upgradePolicy.podDeletion", passed)
    return Decision(state=State.DRAIN) if decision.state is State.FAILED and policy.drain.enable else decision


def _drain(node: NodeFacts, options: Drain, passed: float) -> Decision:
    if not options.enable:
        return Decision(state=State.DELETION)
    return _remove(node, select_drained(node.pods, options.pod_selector), options, "spec.upgradePolicy.drain", passed)


def _remove(
    node: NodeFacts, pods: tuple[DrainPod, ...], options: PodDeletion | Drain, path: str, passed: float
) -> Decision:
    """Evicts the pods. After the time-out, `force` deletes them; after the same time again, or without `force`, the upgrade fails."""
    if not pods:
        return Decision(state=State.RESTART)
    if blocked := describe_blocked(pods, options, path):
        return Decision(state=State.FAILED, reason=blocked)
    limit, why = options.timeout_seconds, node.reason or f"{name_pods(each.key for each in pods)} has not ended"
    present = tuple(each for each in pods if not each.is_terminating)
    if limit == 0 or passed < limit:
        left = limit - passed if limit else RETRY_S
        return Decision(state=node.state, reason=why, evict=present, after_s=min(RETRY_S, left))
    if options.force and passed < 2 * limit:
        return Decision(state=node.state, reason=why, delete=present, after_s=min(RETRY_S, 2 * limit - passed))
    return Decision(state=State.FAILED, reason=f"{why} ({path}.timeoutSeconds is {limit})")
