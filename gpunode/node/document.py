"""The JSON document of `gpunode node`: the keys of `gpunode nodes -o json`, and what only one Node has. PURE."""

from typing import Any

import msgspec

from gpunode.cluster.fleet import render_document
from gpunode.node.facts import NodeFacts
from node_core.scheduling.objects import Event, Pod


def render_facts(facts: NodeFacts) -> dict[str, Any]:
    """devices: null if no agent reports them. claimDevices: of ResourceSlices. events: null if the person has no right to list them."""
    held = {holder.key: holder.resources for holder in facts.gpus.holders}
    return {
        **render_document(facts.gpus),
        "system": _all_keys(facts.node.status.node_info),
        "conditions": [_all_keys(each) for each in facts.node.status.conditions],
        "pods": [_pod(pod, held[pod.key]) for pod in facts.pods],
        "devices": msgspec.to_builtins(facts.devices) if facts.devices else None,
        "claimDevices": [msgspec.to_builtins(each) for each in facts.claim_devices if each.is_shown],
        "labels": facts.labels,
        "events": None if facts.events_problem else [_event(event) for event in facts.events],
    }


def _all_keys(value: msgspec.Struct) -> dict[str, Any]:
    """Returns also the keys with default values."""
    return {field.encode_name: getattr(value, field.name) for field in msgspec.structs.fields(value)}


def _pod(pod: Pod, resources: dict[str, int]) -> dict[str, Any]:
    return {
        "namespace": pod.metadata.namespace,
        "name": pod.metadata.name,
        "phase": pod.status.phase,
        "createdAt": pod.metadata.creation_timestamp,
        "resources": resources,
    }


def _event(event: Event) -> dict[str, Any]:
    return {
        "at": event.last_seen,
        "type": event.type,
        "reason": event.reason,
        "message": event.message,
        "times": event.times,
        "object": _all_keys(event.involved_object),
    }
