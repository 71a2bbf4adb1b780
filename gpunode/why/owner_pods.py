"""The pods of a workload, and why it has too few of them."""

from collections.abc import Iterator, Sequence

from gpunode.cluster.objects import render_selector
from gpunode.why.amounts import count
from gpunode.why.explanation import RUNS
from gpunode.why.pod import PodDetails
from gpunode.why.reads import Reader
from gpunode.why.status import diagnose
from gpunode.why.subject import Subject
from gpunode.why.workloads import (
    CRON_JOB,
    DEPLOYMENT,
    JOB,
    REPLICA_SET,
    Workload,
    WorkloadKind,
    count_desired_pods,
    find_pause,
    make_pod,
)
from node_core.scheduling.objects import Event, Metadata

FAILED_CREATE = "FailedCreate"
MOST_PODS = 3
"""The number of different pods of a workload that are explained."""


def read_workload_subjects(reader: Reader, kind: WorkloadKind, workload: Workload) -> tuple[Subject, ...]:
    """Returns the pods that do not run, one for each different specification; or one that runs; or the template. Raises KubeError."""
    if kind is CRON_JOB and (job := _newest(reader.workloads(JOB), workload)) is not None:
        return read_workload_subjects(reader, JOB, job)
    title = (
        _find_owner(reader, workload.metadata) or f"{kind.kind} {workload.metadata.namespace}/{workload.metadata.name}"
    )
    pods = _read_pods(reader, workload)
    waiting = [each for each in pods if not _runs(each)]
    if waiting:
        return tuple(_waiting_subjects(reader, title, pods, waiting))
    is_short = len(pods) < count_desired_pods(workload) and not _has_completed(pods)
    errors = _read_creation_errors(reader, kind, workload) if is_short else ()
    if pods and not errors:
        note = f"Pods of {title} that do not run: 0 of {len(pods)}."
        return (read_pod_subject(reader, pods[0], owner=title, notes=(note,)),)
    return (_template_subject(reader, kind, workload, errors, len(pods)),)


def read_pod_subject(reader: Reader, pod: PodDetails, owner: str = "", notes: tuple[str, ...] = ()) -> Subject:
    """Reads what explains a Pod: its Events, its Node and its owner. Raises KubeError."""
    node = reader.node(pod.spec.node_name) if pod.spec.node_name and not pod.is_finished else None
    events = reader.events("Pod", pod.metadata.name)
    owner = owner or _find_owner(reader, pod.metadata)
    return Subject(pod=pod, owner=owner, node=node, events=events, notes=(*notes, *reader.notes))


def _waiting_subjects(
    reader: Reader, title: str, pods: Sequence[PodDetails], waiting: Sequence[PodDetails]
) -> Iterator[Subject]:
    groups: list[list[PodDetails]] = []
    for pod in waiting:
        group = next((each for each in groups if _has_same_state(each[0], pod)), None)
        if group is None:
            groups.append([pod])
        else:
            group.append(pod)
    note = f"Pods of {title} that do not run: {len(waiting)} of {len(pods)}."
    for group in groups[:MOST_PODS]:
        others = f" This applies to {len(group)} of them." if group[1:] else ""
        yield read_pod_subject(reader, group[0], owner=title, notes=(f"{note}{others}",))


def _has_same_state(left: PodDetails, right: PodDetails) -> bool:
    """Whether both Pods have the same specification and the same state."""
    return (left.spec, left.status.phase) == (right.spec, right.status.phase)


def _template_subject(
    reader: Reader, kind: WorkloadKind, workload: Workload, errors: tuple[Event, ...], existing: int
) -> Subject:
    some = f"It has {existing} of {count(count_desired_pods(workload), 'pod')}" if existing else "It has no pods"
    notes = (f"{some}, so this is about a pod of its template.", *reader.notes)
    return Subject(
        pod=make_pod(kind, workload),
        kind=kind.kind,
        is_live=False,
        creation_errors=errors[:1],
        pause=find_pause(kind, workload),
        notes=notes,
    )


def _runs(pod: PodDetails) -> bool:
    is_placed = pod.is_finished or bool(pod.spec.node_name)
    return is_placed and diagnose(pod, None, ()).state in RUNS


def _has_completed(pods: Sequence[PodDetails]) -> bool:
    return any(each.status.phase == "Succeeded" for each in pods)


def _read_pods(reader: Reader, workload: Workload) -> tuple[PodDetails, ...]:
    selector = workload.spec.selector
    return reader.pods(render_selector(selector)) if selector is not None else ()


def _read_creation_errors(reader: Reader, kind: WorkloadKind, workload: Workload) -> tuple[Event, ...]:
    """Returns the Events of failed creations, the newest first. The ReplicaSets of a Deployment create its Pods."""
    creators = [(kind.kind, workload.metadata.name)]
    if kind is DEPLOYMENT and workload.spec.selector is not None:
        sets = reader.workloads(REPLICA_SET, render_selector(workload.spec.selector))
        creators += [(REPLICA_SET.kind, each.metadata.name) for each in sets]
    events = [event for creator in creators for event in reader.events(*creator) if event.reason == FAILED_CREATE]
    return tuple(sorted(events, key=lambda event: event.last_seen, reverse=True))


def _newest(jobs: Sequence[Workload], owner: Workload) -> Workload | None:
    """Returns the newest Job of a CronJob."""
    above = (CRON_JOB.kind, owner.metadata.name)
    own = [each for each in jobs if above in [(one.kind, one.name) for one in each.metadata.owner_references]]
    return max(own, key=lambda each: each.metadata.creation_timestamp, default=None)


def _find_owner(reader: Reader, metadata: Metadata) -> str:
    """Returns the workload that owns an object. A ReplicaSet or Job can belong to a Deployment or CronJob. Empty without an owner."""
    owner = next((each for each in metadata.owner_references if each.controller), None)
    if owner is None:
        return ""
    kind = {REPLICA_SET.kind: REPLICA_SET, JOB.kind: JOB}.get(owner.kind)
    above = reader.workload_or_none(kind, owner.name) if kind is not None else None
    top = next((each for each in above.metadata.owner_references if each.controller), owner) if above else owner
    return f"{top.kind} {metadata.namespace}/{top.name}"
