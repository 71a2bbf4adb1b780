"""An Event that tells the author of a NodeFeatureRule what came of it. PURE. Source: Kubernetes API v1 Event.

Its name depends on the rule and not on the node, so a thousand nodes with the same problem make one Event.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node_core.domain.node_feature import API_VERSION

NAMESPACE = "default"
"""Where Kubernetes keeps Events about objects that have no namespace."""
LONGEST_NOTE = 1024
LONGEST_STEM = 200

Obj = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """rule: its name in the object, or "" for the object as a whole. key: of the output that was left out; None: the rule failed."""

    rule: str
    key: str | None
    why: str

    @property
    def reason(self) -> str:
        return "RuleFailed" if self.key is None else "OutputRefused"

    def note(self, node_name: str) -> str:
        what = f"rule {self.rule!r}" if self.rule else "these rules"
        if self.key is None:
            text = f"{what} cannot be evaluated on Node {node_name}; what was made before stays: {self.why}"
        else:
            text = f"{what}: {self.key} is left out on Node {node_name}: {self.why}"
        return text if len(text) <= LONGEST_NOTE else f"{text[: LONGEST_NOTE - 3]}..."


def event_name(about: Obj, complaint: Complaint) -> str:
    """The same on every node, for one problem of one generation of the object. The reason may differ by node, and is no part of it."""
    metadata = about["metadata"]
    parts = (metadata.get("uid"), metadata.get("generation"), complaint.rule, complaint.key)
    digest = hashlib.sha256(repr(parts).encode(errors="surrogatepass")).hexdigest()[:16]
    return f"{metadata['name'][:LONGEST_STEM].rstrip('-.')}.{digest}"


def render_event(about: Obj, complaint: Complaint, *, agent: str, node_name: str, now: str) -> dict[str, Any]:
    """The Event to create. about: the NodeFeatureRule. now: RFC 3339."""
    metadata = about["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": event_name(about, complaint), "namespace": NAMESPACE},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": "NodeFeatureRule",
            **{name: metadata.get(name) for name in ("name", "uid", "resourceVersion")},
        },
        "type": "Warning",
        "reason": complaint.reason,
        "message": complaint.note(node_name),
        "source": {"component": agent, "host": node_name},
        "reportingComponent": agent,
        "reportingInstance": node_name,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
