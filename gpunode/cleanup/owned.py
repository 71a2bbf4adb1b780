"""Whose a part of an object is. PURE. Source: Kubernetes API, ManagedFieldsEntry and FieldsV1."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from device_plugin.health.news import CONDITION


def owns_condition(node: Mapping[str, Any], manager: str) -> bool:
    """Whether the Node's condition GPUReady is there, and this field manager wrote it."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    key = f"k:{json.dumps({'type': CONDITION}, separators=(',', ':'))}"
    return any(each.get("type") == CONDITION for each in conditions) and any(
        key in (entry.get("fieldsV1") or {}).get("f:status", {}).get("f:conditions", {})
        for entry in node["metadata"].get("managedFields") or ()
        if entry.get("manager") == manager
    )


def is_all_of(managed: Iterable[Mapping[str, Any]], manager: str) -> bool:
    """Whether this field manager, and no other, wrote an object."""
    return {entry.get("manager") for entry in managed} == {manager}


def render_condition_gone() -> dict[str, Any]:
    """A strategic merge patch of the Node's status."""
    return {"status": {"conditions": [{"type": CONDITION, "$patch": "delete"}]}}
