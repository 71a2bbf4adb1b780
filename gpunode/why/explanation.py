"""The explanation of a pod, as a document. The keys of `-o json` are in camelCase. PURE."""

from enum import StrEnum

import msgspec

from node_core.scheduling.objects import ApiStruct


class State(StrEnum):
    """Whether the pod runs, and if not, at which step it waits."""

    RUNNING = "Running"
    COMPLETED = "Completed"
    PLACEABLE = "Placeable"
    BLOCKED = "Blocked"
    WAITING = "Waiting"
    STARTING = "Starting"
    FAILING = "Failing"
    FAILED = "Failed"
    INVALID = "Invalid"
    NOT_CREATED = "NotCreated"


RUNS = (State.RUNNING, State.COMPLETED, State.STARTING, State.PLACEABLE)
"""The pod runs, has run, starts, or could be placed: exit status 0."""


class Reason(ApiStruct, frozen=True, omit_defaults=False):
    """kind: a CauseKind. subject: the label requirement, taint or resource. details: one sentence for each of some nodes."""

    kind: str
    message: str
    subject: str = ""
    details: tuple[str, ...] = ()


class NodeGroup(ApiStruct, frozen=True, omit_defaults=False):
    """Nodes with the same reasons."""

    nodes: tuple[str, ...]
    has_gpus: bool
    reasons: tuple[Reason, ...]


class Step(ApiStruct, frozen=True, omit_defaults=False):
    """changes_pod: True for a change of the pod, False for one of the cluster. yaml: the lines to write, or empty."""

    text: str
    yaml: str = ""
    changes_pod: bool = True


class Solution(ApiStruct, frozen=True, omit_defaults=False):
    """Steps that together place the pod on these nodes. The filters of the scheduler were evaluated again with the steps."""

    steps: tuple[Step, ...]
    nodes: tuple[str, ...]


class Occurrence(ApiStruct, frozen=True, omit_defaults=False):
    """An Event. last_seen: RFC 3339."""

    reason: str
    message: str
    times: int = 1
    last_seen: str = ""


class Explanation(ApiStruct, frozen=True, omit_defaults=False):
    """owner: the object that creates the pod: `Deployment web`. requests: resource name -> amount.

    findings: sentences about the pod that concern all nodes. nodes: those that could run the pod. groups: all other nodes. solutions: the
    smallest changes, the best first. advice: what to do, if it is not a change that can be evaluated. filter_reasons: reason, in words of
    kube-scheduler -> number of nodes, as evaluated here. scheduler_message: the scheduler's own words. notes: what was not checked.
    """

    kind: str
    namespace: str
    name: str
    state: State
    summary: str
    owner: str = ""
    requests: dict[str, str] = msgspec.field(default_factory=dict)
    findings: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    groups: tuple[NodeGroup, ...] = ()
    solutions: tuple[Solution, ...] = ()
    advice: tuple[str, ...] = ()
    filter_reasons: dict[str, int] = msgspec.field(default_factory=dict)
    scheduler_message: str = ""
    events: tuple[Occurrence, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def can_run(self) -> bool:
        return self.state in RUNS
