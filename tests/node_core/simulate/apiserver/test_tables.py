from datetime import UTC, datetime
from typing import Any

import pytest

from node_core.simulate.apiserver.tables import render_table

NOW = datetime(2026, 1, 1, 0, 10, tzinfo=UTC)
CREATED = "2026-01-01T00:00:00Z"


def row(kind: str, obj: dict[str, Any]) -> dict[str, Any]:
    obj = {**obj, "metadata": {"name": "x", "creationTimestamp": CREATED, **obj.get("metadata", {})}}
    table = render_table(kind, [obj], now=NOW, metadata={"resourceVersion": "7"})
    return dict(zip([column["name"] for column in table["columnDefinitions"]], table["rows"][0]["cells"], strict=True))


@pytest.mark.parametrize(
    ("ready", "unschedulable", "text"),
    [
        ("True", False, "Ready"),
        ("False", False, "NotReady"),
        ("Unknown", False, "NotReady"),
        (None, False, "Unknown"),
        ("True", True, "Ready,SchedulingDisabled"),
    ],
)
def test_a_node_row_tells_its_status(ready: str | None, unschedulable: bool, text: str) -> None:
    conditions = [{"type": "Ready", "status": ready}] if ready else []
    assert (
        row("Node", {"spec": {"unschedulable": unschedulable}, "status": {"conditions": conditions}})["Status"] == text
    )


def test_a_node_row_has_the_columns_people_know() -> None:
    labels = {"node-role.kubernetes.io/gpu": "", "node-role.kubernetes.io/a": ""}
    cells = row("Node", {"metadata": {"labels": labels}, "status": {"nodeInfo": {"kubeletVersion": "v1"}}})
    assert list(cells)[:5] == ["Name", "Status", "Roles", "Age", "Version"]
    assert (cells["Roles"], cells["Age"], cells["Version"]) == ("a,gpu", "10m", "v1")
    assert (cells["Internal-IP"], cells["OS-Image"]) == ("<none>", "<unknown>")


def test_a_pod_row_tells_containers_and_reasons() -> None:
    waiting = {"ready": False, "restartCount": 2, "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    status = {"phase": "Pending", "containerStatuses": [{"ready": True, "restartCount": 1}, waiting]}
    cells = row("Pod", {"spec": {"containers": [{}, {}], "nodeName": "n1"}, "status": status})
    assert [cells[name] for name in ("Ready", "Status", "Restarts", "Node")] == ["1/2", "ImagePullBackOff", 3, "n1"]


def test_an_event_row_tells_what_happened_to_what() -> None:
    event = {
        "type": "Warning",
        "reason": "GpuLost",
        "message": "gone\n",
        "involvedObject": {"kind": "Node", "name": "n1"},
    }
    cells = row("Event", {**event, "lastTimestamp": CREATED, "source": {"component": "c", "host": "h"}})
    assert list(cells.values())[:4] == ["10m", "Warning", "GpuLost", "node/n1"]
    assert (cells["Message"], cells["Source"], cells["Count"]) == ("gone", "c, h", 1)


def test_any_other_kind_has_name_and_age() -> None:
    assert row("NodeFeature", {}) == {"Name": "x", "Age": "10m"}


@pytest.mark.parametrize(
    ("include", "kind"), [("Metadata", "PartialObjectMetadata"), ("Object", "Node"), ("None", None)]
)
def test_a_row_carries_as_much_of_the_object_as_asked(include: str, kind: str | None) -> None:
    node = {"kind": "Node", "metadata": {"name": "x"}}
    rows = render_table("Node", [node], now=NOW, metadata={"resourceVersion": "7"}, include=include)["rows"]
    assert rows[0].get("object", {}).get("kind") == kind
