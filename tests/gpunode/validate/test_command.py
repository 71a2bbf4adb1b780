"""`gpunode validate`: the table, the document and the exit status."""

import json
from pathlib import Path
from typing import Any

import pytest

from gpu_validator.check import Name, Report, failed, passed, skipped
from gpunode.validate.report import render_document, render_rows
from tests.gpunode.verbs import run_verb

REPORT = Report(
    checks=(
        passed(Name.DRIVER, "it works"),
        failed(Name.CDI, "it is broken", "repair it"),
        skipped(Name.CONTAINER, Name.CDI),
    )
)


def check(folder: Path, *more: str) -> Any:
    """Runs the checks of simulated GPUs with folders of the test. The kubelet has a folder, but no socket."""
    sockets = ("--podresources-socket", str(folder / "kubelet.sock"), "--runtime-socket", str(folder / "runtime.sock"))
    folders = ("--lock-dir", str(folder), "--cdi-dir", str(folder / "cdi"))
    return run_verb("validate", "--simulate", "h100x8", *sockets, *folders, *more)


def test_each_check_has_a_row_with_its_verdict() -> None:
    rows = [tuple(str(getattr(cell, "text", cell)) for cell in row) for row in render_rows(REPORT)]
    assert rows == [
        ("driver", "passed", "it works"),
        ("cdi", "failed", "it is broken"),
        ("container", "skipped", "the check cdi failed"),
    ]


def test_the_document_has_the_remedies() -> None:
    document = render_document(REPORT)
    assert (document["valid"], document["hasGpus"]) == (False, True)
    assert [each["remedy"] for each in document["checks"]] == [None, "repair it", None]
    assert render_document(Report(has_gpus=False)) == {
        "valid": True,
        "hasGpus": False,
        "simulated": False,
        "checks": [],
    }


def test_without_a_cluster_the_checks_of_simulated_gpus_pass(tmp_path: Path) -> None:
    result = check(tmp_path, "--podresources-socket", str(tmp_path / "missing" / "kubelet.sock"))
    assert (result.exit_code, result.stderr) == (0, "")
    assert "driver 550.54.15 lists 8 simulated GPUs" in result.stdout
    assert "not applicable   this machine has no kubelet" in result.stdout


def test_a_failed_check_has_its_remedy_and_the_exit_status_1(tmp_path: Path) -> None:
    result = check(tmp_path)
    assert result.exit_code == 1
    assert "kubelet:         check that the kubelet runs" in result.stdout


def test_the_output_can_be_json(tmp_path: Path) -> None:
    result = check(tmp_path, "-o", "json")
    assert result.exit_code == 1
    assert {each["name"]: each["verdict"] for each in json.loads(result.stdout)["checks"]}["kubelet"] == "failed"


def test_a_node_without_gpus_has_nothing_to_check() -> None:
    result = run_verb("validate", "--simulate", "none")
    assert (result.exit_code, result.stdout) == (0, "This node has no NVIDIA GPU, so there is nothing to check.\n")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--skip-checks", "cuda,x"), "'x' is not a check"),
        (("--simulate", "missing"), "missing"),
        (("--device-list-strategy", "x"), "--device-list-strategy"),
    ],
)
def test_wrong_flags_have_the_exit_status_2(flags: tuple[str, ...], message: str) -> None:
    result = run_verb("validate", *flags)
    assert result.exit_code == 2
    assert message in result.stderr


def test_checks_can_be_skipped(tmp_path: Path) -> None:
    result = check(tmp_path, "--skip-checks", "kubelet,container")
    assert result.exit_code == 0
    assert result.stdout.count("switched off by --skip-checks") == 2
