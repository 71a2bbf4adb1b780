"""Plans how to pause and resume DaemonSets of others by the labels `nvidia.com/gpu.deploy.*`. PURE.

DaemonSets that obey such a label select the value `true`. Any other value ends their pods on this node. Source: NVIDIA's GPU Operator. The
values before a pause are recorded in an annotation of the Node, in the request that changes the labels. So labels are never changed without
a record, and whoever may write the Node can restore the labels.
"""

import json
from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from node_core.domain.labels import Labels, value_problem
from node_core.scheduling.filters import find_unmatched
from node_core.scheduling.objects import Metadata, Node, Pod

DEPLOY = "nvidia.com/gpu.deploy."
RECORD = "gpunode.nvidia.com/"
OPT_OUT = "false"
"""The value of a person who does not want the component on this node. A pause leaves this value as it is."""
COMPONENTS = ("device-plugin", "gpu-feature-discovery", "dcgm-exporter", "dcgm", "nvsm", "client")
"""The components that NVIDIA's MIG Manager pauses. `client` is for DaemonSets of third parties."""


class Pause(StrEnum):
    """Why DaemonSets are paused: the value of the labels. The annotation with the record has the same name."""

    MIG_CHANGE = "paused-for-mig-change"
    DRIVER_UPGRADE = "paused-for-driver-upgrade"

    @property
    def annotation(self) -> str:
        return f"{RECORD}{self}"


Previous = Mapping[str, str | None]
"""Key of a label -> its value before a pause; None for a label that did not exist."""


class MetadataPatch(msgspec.Struct, frozen=True, kw_only=True):
    """Key -> new value; None to remove the key."""

    labels: Previous
    annotations: Mapping[str, str | None]


def parse_record(labels: Labels, annotations: Mapping[str, str], pause: Pause) -> Previous | None:
    """Returns the values before the pause; None if nothing is paused. Ignores other keys than those of a pause.

    If a person has damaged the record, the labels with the value of the pause were probably `true`.
    """
    text = annotations.get(pause.annotation)
    if text is None:
        return None
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        return {key: "true" for key, value in labels.items() if key.startswith(DEPLOY) and value == pause}
    return {key: value for key, value in record.items() if key.startswith(DEPLOY) and _is_value(value)}


def plan_pause(
    labels: Labels, annotations: Mapping[str, str], components: Iterable[str], pause: Pause
) -> MetadataPatch | None:
    """Returns the patch that pauses these components, and records their labels; None if nothing has to change.

    A label that a previous process has paused, and that is paused still, retains its recorded value.
    """
    record = dict(parse_record(labels, annotations, pause) or {})
    keys = [f"{DEPLOY}{component}" for component in components]
    new = {key: _previous(key, labels, annotations) for key in keys if labels.get(key) not in (OPT_OUT, pause)}
    if not new:
        return None
    record |= new
    return MetadataPatch(labels=dict.fromkeys(new, str(pause)), annotations={pause.annotation: json.dumps(record)})


def plan_resume(labels: Labels, annotations: Mapping[str, str], pause: Pause) -> MetadataPatch | None:
    """Returns the patch that restores the labels and removes the record; None without a record.

    A label that another client has changed since the pause retains its new value.
    """
    record = parse_record(labels, annotations, pause)
    if record is None:
        return None
    restored = {key: value for key, value in record.items() if labels.get(key) == pause}
    return MetadataPatch(labels=restored, annotations={pause.annotation: None})


def select_leaving(pods: Iterable[Pod], node_name: str, labels: Labels, previous: Previous) -> tuple[Pod, ...]:
    """Returns the pods that must end: of DaemonSets that the labels before the pause select, and the present labels do not."""
    before = {key: value for key, value in {**labels, **previous}.items() if value is not None}
    old, new = (Node(metadata=Metadata(name=node_name, labels=dict(each))) for each in (before, labels))
    return tuple(pod for pod in pods if _is_of_daemon_set(pod) and _matches(pod, old) and not _matches(pod, new))


def _previous(key: str, labels: Labels, annotations: Mapping[str, str]) -> str | None:
    """Returns the value to record: of the label, or if the label is paused for another reason, the value that is recorded for that."""
    value = labels.get(key)
    for other in Pause:
        if value == other:
            return (parse_record(labels, annotations, other) or {}).get(key, value)
    return value


def _is_value(value: object) -> bool:
    return value is None or (isinstance(value, str) and value_problem(value) is None)


def _is_of_daemon_set(pod: Pod) -> bool:
    return not pod.is_finished and any(each.kind == "DaemonSet" for each in pod.metadata.owner_references)


def _matches(pod: Pod, node: Node) -> bool:
    return find_unmatched(pod, node) is None
