"""Node conditions that agents write. PURE. Source: Kubernetes API v1, NodeCondition."""

from collections.abc import Mapping
from typing import Any

import msgspec

from node_core.domain.events import shorten

GPU_READY = "GPUReady"
GPU_VALIDATED = "GPUValidated"
MIG_CONFIGURED = "MIGConfigured"
MANAGED_TYPES = (GPU_READY, GPU_VALIDATED, MIG_CONFIGURED)
"""The condition types that agents write. Other conditions are ignored, so a heartbeat of the kubelet does not change a NodeView."""


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """A desired condition. type, reason: CamelCase, for machines. message: a sentence for people."""

    type: str
    is_true: bool
    reason: str
    message: str

    @property
    def status(self) -> str:
        return "True" if self.is_true else "False"


class ObservedCondition(msgspec.Struct, frozen=True, kw_only=True):
    """A condition of the Node. since: lastTransitionTime, RFC 3339. Missing fields are empty."""

    status: str = ""
    reason: str = ""
    message: str = ""
    since: str = ""

    def equals(self, desired: Condition) -> bool:
        """True if a write of `desired` would change only times."""
        return (self.status, self.reason, self.message) == (desired.status, desired.reason, shorten(desired.message))


def parse_conditions(status: Mapping[str, Any]) -> dict[str, ObservedCondition]:
    """Parses the conditions of MANAGED_TYPES in a Node's status, by type."""
    return {
        each["type"]: ObservedCondition(
            status=str(each.get("status") or ""),
            reason=str(each.get("reason") or ""),
            message=str(each.get("message") or ""),
            since=str(each.get("lastTransitionTime") or ""),
        )
        for each in status.get("conditions") or ()
        if each.get("type") in MANAGED_TYPES
    }


def render_condition(desired: Condition, observed: ObservedCondition | None, now: str) -> dict[str, Any]:
    """Renders a strategic merge patch of the Node's status, in which conditions merge by type. now: RFC 3339.

    lastTransitionTime changes only if the status changes.
    """
    since = observed.since if observed is not None and observed.status == desired.status else ""
    rendered = {
        "type": desired.type,
        "status": desired.status,
        "reason": desired.reason,
        "message": shorten(desired.message),
        "lastHeartbeatTime": now,
        "lastTransitionTime": since or now,
    }
    return {"status": {"conditions": [rendered]}}


def render_removal(kind: str) -> dict[str, Any]:
    """Renders a strategic merge patch that removes the condition of this type."""
    return {"status": {"conditions": [{"type": kind, "$patch": "delete"}]}}
