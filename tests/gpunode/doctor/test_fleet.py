"""`gpunode doctor --all`: all Nodes from outside."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from gpunode.cluster import lists
from gpunode.doctor.check import note, problem
from gpunode.doctor.fleet import FleetReport, NodeProblems
from gpunode.doctor.fleet_report import render_fleet_json, render_fleet_text
from gpunode.output.terminal import Terminal
from simulation.apiserver import ApiServer
from tests.conftest import Golden
from tests.gpunode.doctor.test_remote import forbid
from tests.gpunode.verbs import run_verb, without_styles

Doctor = Callable[..., Result]


@pytest.fixture
def doctor(kubeconfig: str) -> Doctor:
    return lambda *flags, **more: run_verb("doctor", "--all", "--kubeconfig", kubeconfig, *flags, **more)


def test_the_report_about_all_nodes(fleet: ApiServer, doctor: Doctor, golden: Golden) -> None:
    result = doctor()
    golden("doctor/all.txt", result.stdout)
    assert (result.exit_code, fleet.writes) == (1, 0)


@pytest.mark.usefixtures("fleet")
def test_the_report_as_json(doctor: Doctor, golden: Golden) -> None:
    golden("doctor/all.json", doctor("-o", "json").stdout)


@pytest.mark.usefixtures("fleet")
def test_the_report_at_40_columns(doctor: Doctor) -> None:
    lines = without_styles(doctor(columns=40).stdout).splitlines()
    assert [line for line in lines if len(line) > 40 and " " in line.strip()] == []


@pytest.mark.usefixtures("fleet")
def test_a_selector_limits_the_nodes(doctor: Doctor) -> None:
    result = doctor("-l", "kubernetes.io/hostname in (gpu-01,cpu-01)")
    assert (result.exit_code, result.stdout) == (0, "1 Node healthy, 1 Node without GPUs.\n")
    result = doctor("-l", "a=b")
    assert (result.exit_code, result.stdout) == (0, "There are no Nodes.\n")


@pytest.mark.usefixtures("fleet")
def test_a_selector_that_is_not_valid_is_an_error(doctor: Doctor) -> None:
    result = doctor("-l", "a==(")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "unable to parse requirement" in result.stderr


def test_nodes_and_pods_are_read_in_pages(
    fleet: ApiServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch, golden: Golden
) -> None:
    monkeypatch.setattr(lists, "PAGE", 2)
    golden("doctor/all.txt", doctor().stdout)
    assert fleet.requests["list", "/api/v1/nodes"] == 7
    assert fleet.requests["list", "/api/v1/namespaces/{namespace}/pods"] > 15
    assert fleet.requests["list", "/api/v1/events"] == 0, (
        "the number of requests does not depend on the number of Nodes"
    )


@pytest.mark.usefixtures("fleet")
def test_without_the_right_to_read_daemon_sets_the_nodes_are_checked_alone(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid(monkeypatch, "/daemonsets")
    result = doctor()
    assert (
        "note     agent: the pods of the agents are not checked: you are not permitted to list daemonsets.apps"
        in result.stdout
    )
    assert "  - gpu-08: 0 of 8 nvidia.com/gpu are allocatable." in result.stdout


def test_an_api_server_that_is_away_is_an_error(fleet: ApiServer, doctor: Doctor) -> None:
    fleet.stop()
    result = doctor()
    assert (result.exit_code, result.stdout) == (1, "")
    assert "the API server does not respond" in result.stderr


@pytest.mark.usefixtures("fleet")
def test_a_reader_that_ends_is_not_an_error(kubeconfig: str) -> None:
    command = [sys.executable, "-m", "gpunode", "doctor", "--all", "--kubeconfig", kubeconfig]
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (process.returncode, process.stderr) == (141, "")


def fleet_report(count: int, **more: Any) -> FleetReport:
    nodes = [
        NodeProblems(
            name=f"n{number:04}",
            problems=(problem("agent", "a", f"todo {number}", reason="R"), problem("label", "b", "c")),
        )
        for number in range(count)
    ]
    return FleetReport(healthy=1, without_gpus=0, nodes=tuple(nodes), **more)


def test_many_nodes_with_one_reason_are_not_all_listed_as_text() -> None:
    text = render_fleet_text(fleet_report(1000), Terminal())
    assert text.startswith("1000 Nodes with problems, 1 Node healthy.\n\nR: 1000 Nodes\n  - n0000: a. Also: label.\n")
    assert "  - 980 more: -o json lists all\n" in text
    assert "  - R: the same for 997 more: -o json lists all\n" in text
    assert text.count("\n") < 40
    document = json.loads(render_fleet_json(fleet_report(1000)))
    assert len(document["nodes"]) == len(document["reasons"][0]["nodes"]) == document["withProblems"] == 1000


def test_the_reason_of_most_nodes_is_first() -> None:
    nodes = tuple(
        NodeProblems(name=name, problems=(problem("x", "a", "b", reason=reason),))
        for name, reason in (("n1", "Z"), ("n2", "B"), ("n3", "Z"), ("n4", "A"))
    )
    assert list(FleetReport(healthy=0, without_gpus=0, nodes=nodes).by_reason()) == ["Z", "A", "B"]


def test_what_could_not_be_checked_is_a_note() -> None:
    text = render_fleet_text(fleet_report(0, notes=(note("agent", "not checked\x1b"),)), Terminal())
    assert text == "1 Node healthy.\n\nnote     agent: not checked?\n"
