"""Finds the pod that a person means: by its name, or by the name of the workload that creates it."""

from collections.abc import Iterator

from gpunode.cluster.lists import list_pods
from gpunode.why.owner_pods import read_pod_subject, read_workload_subjects
from gpunode.why.reads import Reader
from gpunode.why.subject import Subject
from gpunode.why.workloads import PODS, WORKLOADS, WorkloadKind, find_kind, known_words
from node_core.domain.labels import object_name_problem
from node_core.errors import KubeError, SettingsError
from node_core.schema import similar, suggest

ANY_KIND = "pod, Deployment, StatefulSet, DaemonSet, Job, CronJob or ReplicaSet"


def parse_target(text: str) -> tuple[WorkloadKind | None, str]:
    """Parses `NAME` or `KIND/NAME`. Raises SettingsError."""
    word, slash, name = text.rpartition("/")
    kind = find_kind(word) if slash else None
    if slash and kind is None:
        raise SettingsError([f"{text}: unknown kind {word!r}{suggest(word, known_words())}. Use {ANY_KIND}"])
    if why := object_name_problem(name, f"a {kind.kind}" if kind is not None else "a pod"):
        raise SettingsError([why])
    return kind, name


def read_subjects(reader: Reader, kind: WorkloadKind | None, name: str) -> tuple[Subject, ...]:
    """Returns the pods to explain. kind: None to search a Pod first, and then the workloads. Raises KubeError."""
    kinds = (PODS, *WORKLOADS) if kind is None else (kind,)
    for each in kinds:
        if found := _read(reader, each, name, is_guess=kind is None and each is not PODS):
            return found
    raise _not_found(reader, kind, name)


def _read(reader: Reader, kind: WorkloadKind, name: str, *, is_guess: bool) -> tuple[Subject, ...]:
    """is_guess: a missing right means that the object is not of this kind."""
    if kind is PODS:
        pod = reader.pod(name)
        return (read_pod_subject(reader, pod),) if pod is not None else ()
    try:
        workload = reader.workload(kind, name)
    except KubeError as error:
        if not is_guess:
            raise
        reader.note_missing_right(error)
        return ()
    return read_workload_subjects(reader, kind, workload) if workload is not None else ()


def _not_found(reader: Reader, kind: WorkloadKind | None, name: str) -> KubeError:
    what = kind.kind if kind is not None else ANY_KIND
    notes = "".join(f". {each.rstrip('.')}" for each in reader.notes)
    hint = next(_hints(reader, kind, name), f"kubectl get {kind.plural if kind is not None else 'pods'} -A lists all")
    return KubeError(f"there is no {what} {name} in the namespace {reader.namespace}{notes}", status=404, hint=hint)


def _hints(reader: Reader, kind: WorkloadKind | None, name: str) -> Iterator[str]:
    """Yields the same name in other namespaces, and the nearest name in this namespace."""
    if kind in (None, PODS) and (namespaces := _namespaces_of(reader, name)):
        yield f"there is one in {', '.join(namespaces)}: use -n {namespaces[0]}"
    names = [each for kind in ((PODS, *WORKLOADS) if kind is None else (kind,)) for each in reader.names(kind)]
    if near := similar(name, names):
        yield f"did you mean {near}?"


def _namespaces_of(reader: Reader, name: str) -> list[str]:
    """Returns the namespaces with a Pod of this name; none without the right to list Pods of all namespaces."""
    try:
        pages = list(list_pods(reader.api, fields=f"metadata.name={name}"))
    except KubeError as error:
        reader.note_missing_right(error)
        return []
    return [pod.metadata.namespace for page in pages for pod in page]
