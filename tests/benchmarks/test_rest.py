"""The bytes that the agents add to a Node."""

import json
from typing import Any

from benchmarks.rest import count_bytes

CONDITION = {"type": "GPUReady", "status": "True"}


def make_entry(manager: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {"manager": manager, "operation": "Apply", "fieldsV1": fields}


def make_node(
    entries: list[dict[str, Any]], annotations: dict[str, str], *conditions: dict[str, str]
) -> dict[str, Any]:
    return {
        "metadata": {"managedFields": entries, "annotations": annotations},
        "status": {"conditions": [{"type": "Ready", "status": "True"}, *conditions]},
    }


def test_the_parts_of_the_bytes_are_those_of_the_agents_and_their_sum_is_the_number() -> None:
    labels = make_entry("gfd", {"f:metadata": {"f:labels": {"f:nvidia.com/gpu.count": {}}}})
    status = make_entry("gpu-device-plugin", {"f:status": {}})
    before = make_node([], {"other": "1"})
    after = make_node([labels, status, make_entry("kubelet", {"f:status": {}})], {"other": "1", "ours": "2"}, CONDITION)
    found = {key: values[0] for key, values in count_bytes(before, after).items()}
    fields = sum(len(json.dumps(each, separators=(",", ":"))) for each in (labels, status))
    names = len('"f:nvidia.com/gpu.count":{},')
    assert found == {
        "bytes": fields + len('{"ours":"2"}') + len('{"type":"GPUReady","status":"True"}'),
        "bytes names": names, "bytes fields": fields - names, "bytes annotations": len('{"ours":"2"}'),
        "bytes condition": len('{"type":"GPUReady","status":"True"}'),
    }  # fmt: skip


def test_a_node_without_agents_has_no_bytes_of_agents() -> None:
    node = make_node([], {"other": "1"})
    assert all(values == [0.0] for values in count_bytes(node, node).values())
