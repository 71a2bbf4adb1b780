"""Kubernetes Events that agents record. PURE. Source: Kubernetes API v1, Event.

The name of an Event contains a hash of its content. So the same Event, sent twice or by many nodes, exists once.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from node_core.domain.node_feature import API_VERSION

NAMESPACE = "default"
"""The namespace of Events about objects without a namespace."""
MAX_NOTE = 1024
MAX_STEM = 200

Obj = Mapping[str, Any]


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A reference to an object. namespace: empty for a cluster-scoped object. Missing fields are None."""

    api_version: str = "v1"
    kind: str
    name: str
    uid: str | None = None
    namespace: str = ""
    resource_version: str | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An Event. name: see `event_name`. about: the involved object. reason: CamelCase, for machines. note: a sentence for people.

    at: RFC 3339. agent, node_name: the reporting component and its node.
    """

    name: str
    about: Reference
    reason: str
    note: str
    at: str
    agent: str
    node_name: str
    is_warning: bool = True
    count: int = 1


def event_name(stem: str, *parts: object) -> str:
    """Returns the name of an Event. stem: the name of the involved object. parts: Events with equal parts have the same name."""
    digest = hashlib.sha256(repr(parts).encode(errors="surrogatepass")).hexdigest()[:16]
    return f"{stem[:MAX_STEM].rstrip('-.')}.{digest}"


def shorten(text: str) -> str:
    """Truncates the text to MAX_NOTE characters. A truncated text ends with `...`."""
    return text if len(text) <= MAX_NOTE else f"{text[: MAX_NOTE - 3]}..."


def render_event(event: Event) -> dict[str, Any]:
    """Renders the Event object to create."""
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": event.name, "namespace": event.about.namespace or NAMESPACE},
        "involvedObject": _render_reference(event.about),
        "type": "Warning" if event.is_warning else "Normal",
        "reason": event.reason,
        "message": shorten(event.note),
        "source": {"component": event.agent, "host": event.node_name},
        "reportingComponent": event.agent,
        "reportingInstance": event.node_name,
        "firstTimestamp": event.at,
        "lastTimestamp": event.at,
        "count": event.count,
    }


def _render_reference(about: Reference) -> dict[str, Any]:
    fields = {
        "apiVersion": about.api_version,
        "kind": about.kind,
        "name": about.name,
        "uid": about.uid,
        "namespace": about.namespace or None,
        "resourceVersion": about.resource_version,
    }
    return {name: value for name, value in fields.items() if value is not None}


class RuleFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A problem of a NodeFeatureRule that its author has to fix. rule: the name of the rule, or "" for the whole object.

    key: the key of an output that is not published, or None if the problem is about the rule. why: the reason. is_warning: the rule could
    be evaluated.
    """

    rule: str
    key: str | None
    why: str
    is_warning: bool = False

    @property
    def reason(self) -> str:
        if self.is_warning:
            return "RuleWarning"
        return "RuleFailed" if self.key is None else "OutputRefused"

    def note(self, node_name: str) -> str:
        what = f"rule {self.rule!r}" if self.rule else "this object"
        if self.is_warning:
            return f"{what}: {self.why}"
        if self.key is None:
            return f"{what} cannot be evaluated on Node {node_name}, its earlier outputs remain: {self.why}"
        return f"{what}: {self.key} is not published on Node {node_name}: {self.why}"


def rule_event(about: Obj, finding: RuleFinding, *, agent: str, node_name: str, at: str) -> Event:
    """Returns the Event for a problem. about: the NodeFeatureRule. The name contains no node, so all nodes share one Event."""
    metadata = about["metadata"]
    return Event(
        name=event_name(
            metadata["name"],
            metadata.get("uid"),
            metadata.get("generation"),
            finding.rule,
            finding.why if finding.is_warning else finding.key,
        ),
        about=Reference(
            api_version=about.get("apiVersion", API_VERSION),
            kind="NodeFeatureRule",
            name=metadata["name"],
            namespace=metadata.get("namespace", ""),
            uid=metadata.get("uid"),
            resource_version=metadata.get("resourceVersion"),
        ),
        reason=finding.reason,
        note=finding.note(node_name),
        at=at,
        agent=agent,
        node_name=node_name,
    )
