"""Facts about the Nodes of one driver, from the raw objects of a view. PURE."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from gpu_core.pods.eviction import DrainPod, parse_drain_pod
from gpu_operator.plan.node_facts import NodeFacts as DriverLabels
from gpu_operator.upgrade.driver_pod import REVISION, DriverPod, newest_revisions, read_driver_pod, select_driver_pod
from gpu_operator.upgrade.keys import (
    CORDONED,
    PROGRESS,
    REASON,
    SKIP,
    STATE,
    WAS_UNSCHEDULABLE,
    State,
    parse_state,
)
from gpu_operator.upgrade.progress import Progress, parse_progress
from gpu_operator.view import OWNER, ClusterView, Obj, annotations_of, is_driver_pod, labels_of, node_of, owner_uid

VALIDATED = "GPUValidated"
"""Condition of a Node: the result of gpu-validator, if gpu-validator runs."""
WITH_PODS = (State.WAIT, State.DELETION, State.DRAIN)
"""States in which the pods of a Node count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """label: the text of the state label, None without the label. state: the same as a state, UNKNOWN for another text.

    driver: the name of the NVIDIADriver. revision: the newest revision of the DaemonSet; None while it is not known. pod: the driver pod.
    pods: all pods of the Node, in the states of WITH_PODS. claimants: see ClusterView. is_validated: None without the condition.
    """

    name: str
    resource_version: str = ""
    label: str | None = None
    state: State = State.UNKNOWN
    is_skipped: bool = False
    progress: Progress | None = None
    reason: str = ""
    is_cordoned: bool = False
    was_unschedulable: bool = False
    is_unschedulable: bool = False
    is_ready: bool = True
    is_validated: bool | None = None
    validation_message: str = ""
    driver: str = ""
    revision: str | None = None
    pod: DriverPod | None = None
    pods: tuple[DrainPod, ...] = ()
    claimants: Collection[str] = ()

    @property
    def is_current(self) -> bool:
        """True if the driver pod has the newest revision."""
        return self.pod is not None and self.pod.revision == self.revision

    @property
    def is_running(self) -> bool:
        """True if the driver pod has the newest revision and is ready."""
        return self.pod is not None and self.is_current and self.pod.is_ready

    @property
    def is_outdated(self) -> bool:
        """True if the driver pod has an older revision. Neither current nor outdated: the pod or the revision is not known."""
        return self.pod is not None and self.revision is not None and self.pod.revision != self.revision


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """nodes: the Nodes of each driver, sorted by name. released: Nodes that no driver has any more, with labels of the upgrade."""

    nodes: Mapping[str, tuple[NodeFacts, ...]] = field(default_factory=dict)
    released: tuple[NodeFacts, ...] = ()


def read_fleet(view: ClusterView) -> Fleet:
    """A Node has a driver if it has a driver pod, or if its upgrade has begun and a DaemonSet of the driver selects the Node.

    A driver pod whose DaemonSet was deleted belongs to the DaemonSet that selects its Node. While the revision of a pod is not in the
    view, the newest revision is not known either: the view can have a new pod before its new revision.
    """
    daemon_sets = {str(each["metadata"].get("uid")): each for each in view.daemon_sets.values()}
    revisions = newest_revisions(view.daemon_sets.values(), view.controller_revisions.values())
    known = {"", *(labels_of(each).get(REVISION) for each in view.controller_revisions.values())}
    driver_pods, others = _group_pods(view.pods.values())
    fleet: dict[str, list[NodeFacts]] = {
        name: [] for name, each in view.drivers.items() if not (each.get("metadata") or {}).get("deletionTimestamp")
    }
    released = []
    for name in sorted(view.nodes):
        node, pod = view.nodes[name], select_driver_pod(driver_pods.get(name, ()), daemon_sets)
        uid = _find_daemon_set(node, pod, daemon_sets)
        driver = labels_of(daemon_sets[uid]).get(OWNER, "") if uid is not None else ""
        driver_pod = None if pod is None else read_driver_pod(pod, uid)
        is_known = driver_pod is None or driver_pod.revision in known
        revision = revisions.get(uid or "") if is_known else None
        facts = _read_node(node, driver, revision, driver_pod, others.get(name, ()), view.claimants)
        if driver in fleet:
            fleet[driver].append(facts)
        elif facts.progress is not None or facts.is_cordoned:
            released.append(facts)
    return Fleet(nodes={name: tuple(nodes) for name, nodes in fleet.items()}, released=tuple(released))


def _group_pods(pods: Iterable[Obj]) -> tuple[Mapping[str, list[Obj]], Mapping[str, list[Obj]]]:
    """Returns the driver pods, and the other pods, by Node."""
    drivers: dict[str, list[Obj]] = {}
    others: dict[str, list[Obj]] = {}
    for pod in pods:
        (drivers if is_driver_pod(pod) else others).setdefault(node_of(pod), []).append(pod)
    return drivers, others


def _find_daemon_set(node: Obj, pod: Obj | None, daemon_sets: Mapping[str, Obj]) -> str | None:
    """Returns the uid of the DaemonSet of a Node's driver pod, or of the pod that the Node gets."""
    if pod is not None and (uid := owner_uid(pod)) in daemon_sets:
        return uid
    labels = labels_of(node)
    wants = DriverLabels(name="", labels=labels)
    has_begun = pod is not None or PROGRESS in annotations_of(node)
    if not has_begun or wants.is_opted_out or wants.has_own_driver:
        return None
    return next((uid for uid, each in sorted(daemon_sets.items()) if _selects(each, labels)), None)


def _selects(daemon_set: Obj, labels: Mapping[str, str]) -> bool:
    template = (daemon_set.get("spec") or {}).get("template") or {}
    selector = (template.get("spec") or {}).get("nodeSelector") or {}
    return bool(selector) and selector.items() <= labels.items()


def _read_node(
    node: Obj,
    driver: str,
    revision: str | None,
    pod: DriverPod | None,
    pods: Iterable[Obj],
    claimants: Collection[str],
) -> NodeFacts:
    labels, annotations = labels_of(node), annotations_of(node)
    conditions = {each.get("type"): each for each in (node.get("status") or {}).get("conditions") or ()}
    state, validated = parse_state(labels.get(STATE, "")), conditions.get(VALIDATED)
    return NodeFacts(
        name=str(node["metadata"]["name"]),
        resource_version=str(node["metadata"].get("resourceVersion", "")),
        label=labels.get(STATE),
        state=state,
        is_skipped=labels.get(SKIP) == "true",
        progress=parse_progress(annotations.get(PROGRESS, "")),
        reason=annotations.get(REASON, ""),
        is_cordoned=CORDONED in annotations,
        was_unschedulable=WAS_UNSCHEDULABLE in annotations,
        is_unschedulable=bool((node.get("spec") or {}).get("unschedulable")),
        is_ready=conditions.get("Ready", {}).get("status") == "True",
        is_validated=None if validated is None else validated.get("status") == "True",
        validation_message=str((validated or {}).get("message", "")),
        driver=driver,
        revision=revision,
        pod=pod,
        pods=tuple(map(parse_drain_pod, pods)) if state in WITH_PODS else (),
        claimants=claimants,
    )
