"""Which pods of a Node the upgrade waits for or drains, and why pods must not be evicted. PURE.

Source: Kubernetes documentation, Safely Drain a Node; NVIDIA GPU Operator documentation, GPU Driver Upgrades.
"""

from collections.abc import Iterable

from gpu_core.pods.eviction import DrainPod, select_removable
from gpu_operator.spec import Drain, PodDeletion
from node_core.domain.label_selector import parse_label_selector


def select_jobs(pods: Iterable[DrainPod], selector: str) -> tuple[DrainPod, ...]:
    """Returns the pods that the upgrade waits for. selector: of labels, valid; empty for none."""
    return tuple(each for each in pods if selector.strip() and not each.is_finished and _matches(selector, each))


def select_drained(pods: Iterable[DrainPod], selector: str) -> tuple[DrainPod, ...]:
    """Returns the pods that a drain evicts. selector: of labels, valid; empty for all pods."""
    return tuple(each for each in select_removable(pods) if _matches(selector, each))


def describe_blocked(pods: Iterable[DrainPod], options: PodDeletion | Drain, path: str) -> str:
    """Returns why some of these pods must not be evicted, or an empty text. path: of the options in the spec."""
    present = [each for each in pods if not each.is_terminating]
    bare = [each.key for each in present if not each.is_managed]
    with_data = [each.key for each in present if each.has_local_data]
    problems = []
    if bare and not options.force:
        problems.append(f"{name_pods(bare)} has no controller that creates it again. Delete it, or set {path}.force")
    if with_data and not options.delete_empty_dir:
        problems.append(
            f"{name_pods(with_data)} has data in an emptyDir volume. Delete it, or set {path}.deleteEmptyDir"
        )
    return "; ".join(problems)


def name_pods(names: Iterable[str]) -> str:
    """Returns `pod a/b`, or `pod a/b (and 2 other pods)`."""
    first, *others = sorted(names)
    more = f" (and {len(others)} other pod{'s' if len(others) > 1 else ''})" if others else ""
    return f"pod {first}{more}"


def _matches(selector: str, pod: DrainPod) -> bool:
    return all(each.matches(pod.metadata.labels) for each in parse_label_selector(selector))
