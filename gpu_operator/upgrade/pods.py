"""Facts about the pods of a Node, and which of them the upgrade waits for or evicts. PURE.

Source: Kubernetes documentation, Safely Drain a Node; NVIDIA GPU Operator documentation, GPU Driver Upgrades.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gpu_operator.spec import Drain, PodDeletion
from gpu_operator.upgrade.keys import SKIP_DRAIN
from gpu_operator.view import Obj, annotations_of, labels_of
from node_core.domain.label_selector import parse_label_selector

RESOURCES = "nvidia.com/"
"""Prefix of the resources that are GPUs, or parts of GPUs. They can be renamed, so the rest of the name means nothing."""
MIRROR = "kubernetes.io/config.mirror"
"""Annotation of a pod that the kubelet has from a file. Such a pod cannot be evicted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodFacts:
    """A pod on a Node. is_fixed: the pod belongs to the Node, because a DaemonSet or a file of the kubelet creates it.

    uses_gpu: also with a ResourceClaim. A pod does not name the devices of a claim, and they can be GPUs.
    """

    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str] = field(default_factory=dict)
    is_finished: bool = False
    is_terminating: bool = False
    is_fixed: bool = False
    has_controller: bool = True
    has_empty_dir: bool = False
    uses_gpu: bool = False

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


def read_pod(pod: Obj) -> PodFacts:
    metadata, spec = pod["metadata"], pod.get("spec") or {}
    owners = [each for each in metadata.get("ownerReferences") or () if each.get("controller")]
    return PodFacts(
        namespace=str(metadata.get("namespace", "")),
        name=str(metadata["name"]),
        uid=str(metadata.get("uid", "")),
        labels=labels_of(pod),
        is_finished=(pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"),
        is_terminating=bool(metadata.get("deletionTimestamp")),
        is_fixed=MIRROR in annotations_of(pod) or any(each.get("kind") == "DaemonSet" for each in owners),
        has_controller=bool(owners),
        has_empty_dir=any("emptyDir" in each for each in spec.get("volumes") or ()),
        uses_gpu=bool(spec.get("resourceClaims")) or any(name.startswith(RESOURCES) for name in _resources(spec)),
    )


def _resources(spec: Mapping[str, Any]) -> Iterator[str]:
    for each in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()), spec):
        resources = each.get("resources") or {}
        yield from resources.get("limits") or ()
        yield from resources.get("requests") or ()


def select_jobs(pods: Iterable[PodFacts], selector: str) -> tuple[PodFacts, ...]:
    """Returns the pods that the upgrade waits for. selector: of labels, valid; empty for none."""
    return tuple(each for each in pods if selector.strip() and not each.is_finished and _matches(selector, each))


def select_gpu_pods(pods: Iterable[PodFacts]) -> tuple[PodFacts, ...]:
    return tuple(each for each in pods if each.uses_gpu and _can_leave(each))


def select_drained(pods: Iterable[PodFacts], selector: str) -> tuple[PodFacts, ...]:
    """Returns the pods that a drain evicts. selector: of labels, valid; empty for all pods."""
    return tuple(
        each for each in pods if _can_leave(each) and each.labels.get(SKIP_DRAIN) != "true" and _matches(selector, each)
    )


def describe_blocked(pods: Iterable[PodFacts], options: PodDeletion | Drain, path: str) -> str:
    """Returns why some of these pods must not be evicted, or an empty text. path: of the options in the spec."""
    present = [each for each in pods if not each.is_terminating]
    bare = [each.key for each in present if not each.has_controller]
    with_data = [each.key for each in present if each.has_empty_dir]
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


def _can_leave(pod: PodFacts) -> bool:
    return not pod.is_finished and not pod.is_fixed


def _matches(selector: str, pod: PodFacts) -> bool:
    return all(each.matches(pod.labels) for each in parse_label_selector(selector))
