"""The message of kube-scheduler about a pod: reasons that gpunode evaluates itself, and others. PURE.

The message: `0/4 nodes are available: 1 Insufficient cpu, 3 node(s) had untolerated taint(s). preemption: ...`.
"""

import re
from collections import Counter
from collections.abc import Iterable

from gpunode.why.pod import PodDetails
from node_core.scheduling.objects import Event

SCHEDULED = "PodScheduled"
FAILED_SCHEDULING = "FailedScheduling"
UNSCHEDULABLE = "Unschedulable"
_MESSAGE = re.compile(r"0/\d+ nodes are available: (.*?)\.(?: (?:preemption|no new claims).*)?$", re.DOTALL)
_PART = re.compile(r",\s+(?=\d+\s)")
_COUNTED = re.compile(r"(\d+) (.*)", re.DOTALL)
_EVALUATED = (
    "Insufficient ",
    "Too many pods",
    "node(s) had untolerated taint",
    "node(s) had taint",
    "node(s) didn't match Pod's node affinity",
    "node(s) didn't match node selector",
    "node(s) were unschedulable",
)
"""The beginnings of reasons that the filters of node_core.scheduling evaluate."""
NO_NODES = "no nodes available to schedule pods"
OTHER = {
    "anti-affinity": "pod anti-affinity of this pod, or of pods that run on the nodes",
    "pod affinity": "pod affinity: the pods that this pod must run beside are not on the nodes",
    "topology spread": "topology spread constraints",
    "free ports": "a hostPort that another pod of the node has",
    "olume": "volumes",
    "laim": "claims",
    "plugin(s)": "a plugin of the scheduler",
}
"""Part of a reason -> what it is about."""


def parse_message(message: str) -> Counter[str]:
    """Returns reason -> number of Nodes. A reason without a number concerns all Nodes, and has 0. Empty for other messages."""
    match = _MESSAGE.match(message.strip())
    if match is None:
        return Counter()
    parts = (_COUNTED.fullmatch(part) or part for part in _PART.split(match[1]))
    return Counter(
        {part if isinstance(part, str) else part[2]: 0 if isinstance(part, str) else int(part[1]) for part in parts}
    )


def other_reasons(message: str) -> tuple[str, ...]:
    """Returns the reasons that gpunode does not evaluate, each with what it is about. A message in another form is such a reason."""
    reasons = parse_message(message) or ([message] if message and message != NO_NODES else [])
    return tuple(_name(each) for each in reasons if not each.startswith(_EVALUATED))


def _name(reason: str) -> str:
    about = next((meaning for part, meaning in OTHER.items() if part in reason), None)
    return f"{reason}. It concerns {about}" if about else reason


def scheduler_message(pod: PodDetails, events: Iterable[Event]) -> str:
    """Returns the newest message of the scheduler: of the condition PodScheduled, or of an Event. Empty if there is none."""
    for condition in pod.status.conditions:
        if (condition.type, condition.status, condition.reason) == (SCHEDULED, "False", UNSCHEDULABLE):
            return condition.message
    return next((event.message for event in events if event.reason == FAILED_SCHEDULING), "")
