"""The table of `make faults`: what is a lost label and a lost allocation, and what is a write of the agents."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults.__main__ import run_cases
from benchmarks.faults.altered import is_write
from benchmarks.faults.cases import CASES
from benchmarks.faults.table import (
    Row,
    count_xids,
    find_lost,
    find_missing,
    find_removed,
    load_rows,
    own_labels,
    render_text,
    table_rows,
    to_json,
)

ROW = Row(fault="restart", count=3, figures={"registrations": 3})


def test_only_a_fault_that_occurred_without_a_loss_is_passed() -> None:
    assert ROW.is_passed
    for row in (
        Row(fault="none", count=0),
        Row(fault="labels", count=1, labels=1),
        Row(fault="allocations", count=1, allocations=1),
        Row(fault="other", count=1, problems=["the agents ended"]),
    ):
        assert not row.is_passed, row.fault


def test_a_label_is_lost_if_a_write_removes_it_or_if_its_value_is_another_one() -> None:
    expected = {"nvidia.com/a": "1", "nvidia.com/b": "2"}
    assert find_removed(expected, {"nvidia.com/b": "3"}, expected) == ["nvidia.com/a"]
    assert find_removed({"nvidia.com/b": "2"}, {"nvidia.com/b": "2"}, expected) == []
    assert find_missing({"nvidia.com/b": "3", "team": "x"}, expected) == ["nvidia.com/a", "nvidia.com/b"]
    assert find_missing(expected | {"team": "x"}, expected) == []


def test_labels_of_others_do_not_count() -> None:
    labels = {"nvidia.com/gpu.count": "8", "feature.node.kubernetes.io/pci": "true", "team": "x"}
    assert own_labels(labels) == {"nvidia.com/gpu.count": "8", "feature.node.kubernetes.io/pci": "true"}


def test_an_allocation_is_lost_if_its_device_is_unhealthy_or_missing() -> None:
    held = {"a": ["GPU-0"], "b": ["GPU-1", "GPU-2"]}
    assert find_lost(held, {"GPU-0": True, "GPU-1": False}) == [("b", "GPU-1"), ("b", "GPU-2")]
    assert find_lost(held, {"GPU-0": True, "GPU-1": False}, failed={"GPU-1"}) == [("b", "GPU-2")]
    assert find_lost(held, {"GPU-0": True, "GPU-1": True, "GPU-2": True}) == []


def test_xids_of_all_gpus_and_of_one_number_are_counted() -> None:
    lines = [
        f'gpunode_xids_total{{agent="{agent}",gpu="{gpu}",xid="{xid}",kind="application"}} {count}.0'
        for agent, gpu, xid, count in (
            ("gpu-device-plugin", 0, 13, 1250), ("gpu-device-plugin", 1, 13, 2),
            ("gpu-device-plugin", 0, 130, 7), ("gpu-exporter", 0, 13, 9),
        )
    ]  # fmt: skip
    assert count_xids("\n".join(["# TYPE gpunode_xids_total counter", *lines]), 13) == 1252


@pytest.mark.parametrize(
    ("event", "arguments", "expected"),
    [
        ("open", ("/a", "w", os.O_WRONLY | os.O_CREAT), True),
        ("open", ("/a", None, os.O_RDWR), True),
        ("open", ("/a", "r", os.O_RDONLY | os.O_CLOEXEC), False),
        ("open", ("/dev/null", "w", os.O_WRONLY), False),
        ("open", ("/a/__pycache__/b.pyc", "w", os.O_WRONLY), False),
        ("open", (3, "wb", os.O_WRONLY), False),
        ("os.rename", ("/a", "/b", -1, -1), True),
        ("os.listdir", ("/a",), False),
        ("http.client.send", (None, b"PATCH /api/v1/nodes/a HTTP/1.1\r\n"), True),
        ("http.client.send", (None, b"GET /api/v1/nodes/a HTTP/1.1\r\n"), False),
        ("http.client.send", (None, "text"), False),
    ],
)
def test_writes_are_changes_of_files_and_of_the_api(event: str, arguments: tuple[Any, ...], expected: bool) -> None:
    assert is_write(event, arguments) is expected


def test_the_table_has_the_figures_the_verdicts_and_the_problems() -> None:
    bad = Row(fault="outage", count=1, labels=2, problems=["the labels are lost"])
    assert table_rows([ROW, bad]) == [
        ("restart", "3", "0", "0", "3 registrations", "pass"),
        ("outage", "1", "2", "0", "", "fail"),
    ]
    assert render_text([ROW, bad]).splitlines()[-1] == "outage: the labels are lost"
    assert load_rows(to_json([ROW, bad])["rows"]) == [ROW, bad]


def test_an_interrupted_run_has_saved_the_rows_of_the_faults_that_ended(tmp_path: Path) -> None:
    file = tmp_path / "faults.json"

    def run(name: str) -> Row:
        if name == "clock":
            raise KeyboardInterrupt
        return Row(fault=name, count=1)

    with pytest.raises(KeyboardInterrupt):
        run_cases(["disk", "clock"], run, file)
    results = json.loads(file.read_text())
    assert load_rows(results["rows"]) == [Row(fault="disk", count=1, problems=[])]
    assert not results["complete"]


def test_only_a_run_of_all_faults_is_complete(tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    for names, is_complete in ((["disk"], False), (list(CASES), True)):
        run_cases(names, lambda name: Row(fault=name, count=1), file)
        assert json.loads(file.read_text())["complete"] is is_complete
