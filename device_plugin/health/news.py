"""What people are told of GPUs, as Kubernetes Events and as a condition of the Node. PURE. Source: Kubernetes API v1, Event and Node."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from device_plugin.devices import DeviceId
from node_core.domain.inventory import GpuUuid

CONDITION = "GPUReady"
LONGEST_NOTE = 1024
LONGEST_STEM = 200
NAMESPACE = "default"
"""Where Kubernetes keeps Events about objects that have no namespace."""

Obj = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """reason: CamelCase, for machines. note: a sentence. at: Unix seconds. devices: whose holders are told too."""

    reason: str
    note: str
    gpu: GpuUuid
    at: float
    is_warning: bool = True
    count: int = 1
    devices: frozenset[DeviceId] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """is_ready: whether pods can be given GPUs. reason: CamelCase. message: what a person reads."""

    is_ready: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The object that an Event is about. namespace: empty for a Node."""

    kind: Literal["Node", "Pod"]
    name: str
    uid: str
    namespace: str = ""


def render_event(news: News, about: Subject, *, agent: str, node_name: str, now: str) -> dict[str, Any]:
    """now: RFC 3339."""
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": _event_name(news, about), "namespace": about.namespace or NAMESPACE},
        "involvedObject": {"apiVersion": "v1", "kind": about.kind, "name": about.name, "uid": about.uid}
        | ({"namespace": about.namespace} if about.namespace else {}),
        "type": "Warning" if news.is_warning else "Normal",
        "reason": news.reason,
        "message": _shortened(news.note),
        "source": {"component": agent, "host": node_name},
        "reportingComponent": agent,
        "reportingInstance": node_name,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": news.count,
    }


def render_condition(condition: Condition, now: str, *, since: str | None = None) -> dict[str, Any]:
    """A strategic merge patch of the Node's status; conditions merge by type. since: of a status that stays; None for a new one."""
    rendered = {
        "type": CONDITION,
        "status": "True" if condition.is_ready else "False",
        "reason": condition.reason,
        "message": _shortened(condition.message),
        "lastHeartbeatTime": now,
        "lastTransitionTime": since or now,
    }
    return {"status": {"conditions": [rendered]}}


def find_condition(node: Obj) -> Obj | None:
    """Ours among those of a Node."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == CONDITION), None)


def says_the_same(found: Obj, condition: Condition) -> bool:
    rendered = render_condition(condition, "")["status"]["conditions"][0]
    return all(found.get(name) == rendered[name] for name in ("status", "reason", "message"))


def _event_name(news: News, about: Subject) -> str:
    """The same for one piece of news, however often it is sent."""
    digest = hashlib.sha256(repr((about, news.reason, news.gpu, news.note, news.at)).encode()).hexdigest()[:16]
    return f"{about.name[:LONGEST_STEM].rstrip('-.')}.{digest}"


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_NOTE else f"{text[: LONGEST_NOTE - 3]}..."
