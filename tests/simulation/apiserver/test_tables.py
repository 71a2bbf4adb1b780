"""The tables of kubectl."""

from datetime import UTC, datetime
from typing import Any

import pytest

from simulation.apiserver.tables import age_of, human_duration, render_table

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
def test_the_row_of_a_node_contains_its_status(ready: str | None, unschedulable: bool, text: str) -> None:
    conditions = [{"type": "Ready", "status": ready}] if ready else []
    assert (
        row("Node", {"spec": {"unschedulable": unschedulable}, "status": {"conditions": conditions}})["Status"] == text
    )


def test_the_row_of_a_node_has_the_columns_of_kubectl() -> None:
    labels = {"node-role.kubernetes.io/gpu": "", "node-role.kubernetes.io/a": ""}
    cells = row("Node", {"metadata": {"labels": labels}, "status": {"nodeInfo": {"kubeletVersion": "v1"}}})
    assert list(cells)[:5] == ["Name", "Status", "Roles", "Age", "Version"]
    assert (cells["Roles"], cells["Age"], cells["Version"]) == ("a,gpu", "10m", "v1")
    assert (cells["Internal-IP"], cells["OS-Image"]) == ("<none>", "<unknown>")


def test_the_row_of_a_pod_contains_its_containers_and_the_reason() -> None:
    statuses = [{"ready": True, "restartCount": 1}, {"ready": False, "restartCount": 2}]
    status = {"phase": "Failed", "reason": "UnexpectedAdmissionError", "containerStatuses": statuses}
    cells = row("Pod", {"spec": {"containers": [{}, {}], "nodeName": "n1"}, "status": status})
    assert [cells[name] for name in ("Ready", "Status", "Restarts", "Node")] == [
        "1/2",
        "UnexpectedAdmissionError",
        3,
        "n1",
    ]


def test_the_row_of_an_event_contains_its_object_and_message() -> None:
    event = {
        "type": "Warning",
        "reason": "GpuLost",
        "message": "gone\n",
        "involvedObject": {"kind": "Node", "name": "n1"},
    }
    cells = row("Event", {**event, "lastTimestamp": CREATED, "source": {"component": "c", "host": "h"}})
    assert list(cells.values())[:4] == ["10m", "Warning", "GpuLost", "node/n1"]
    assert (cells["Message"], cells["Source"], cells["Count"]) == ("gone", "c", "1")


def test_a_kind_without_columns_has_name_and_age() -> None:
    assert row("NodeFeature", {}) == {"Name": "x", "Age": "10m"}


@pytest.mark.parametrize(("include", "kind"), [("Metadata", "PartialObjectMetadata"), ("Object", "Node")])
def test_a_row_contains_the_metadata_or_the_object(include: str, kind: str) -> None:
    node = {"kind": "Node", "metadata": {"name": "x"}}
    rows = render_table("Node", [node], now=NOW, metadata={"resourceVersion": "7"}, include=include)["rows"]
    assert rows[0].get("object", {}).get("kind") == kind


MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (119, "119s"),
        (2 * MINUTE, "2m"),
        (3 * MINUTE + 20, "3m20s"),
        (15 * MINUTE + 20, "15m"),
        (179 * MINUTE, "179m"),
        (3 * HOUR, "3h"),
        (5 * HOUR + 30 * MINUTE, "5h30m"),
        (47 * HOUR + 59 * MINUTE, "47h"),
        (2 * DAY + 4 * HOUR, "2d4h"),
        (8 * DAY + HOUR, "8d"),
        (400 * DAY, "400d"),
        (3 * 365 * DAY + 20 * DAY, "3y20d"),
        (9 * 365 * DAY + 20 * DAY, "9y"),
    ],
)
def test_ages_have_the_format_of_kubectl(seconds: int, text: str) -> None:
    assert human_duration(seconds) == text


def test_the_age_of_a_missing_or_malformed_time_is_unknown() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert [age_of(text, now) for text in (None, "yesterday", 7)] == ["<unknown>"] * 3
    assert age_of("2025-12-31T23:59:00Z", now) == "60s"
