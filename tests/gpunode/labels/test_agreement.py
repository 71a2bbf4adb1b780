"""`gpunode labels` shows what the agents would publish: the labels of `nfd-lite --export labels` and `gfd --publish stdout`."""

import json
from pathlib import Path

import pytest

from gfd.__main__ import parse as parse_gfd
from nfd_lite.__main__ import parse as parse_nfd
from node_core.runtime.services import Services
from simulation.scenarios.scenario import scenario_names
from tests.gpunode.labels.conftest import Show
from tests.nfd_lite.conftest import load_host

HOSTS = ("xeon-h100", "icelake-sriov", "epyc-genoa", "debian-13", "rhcos-4.22")
CASES = [
    *((name, HOSTS[number % len(HOSTS)], "none") for number, name in enumerate(scenario_names())),
    ("a100x4-mig-single", "xeon-h100", "single"),
    ("h100x8-mig-mixed", "rhcos-4.22", "mixed"),
    ("none", "icelake-sriov", "mixed"),
]
"""Scenario, host and MIG strategy."""


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nfd_lite.__main__.configure_log", lambda *_: None)


def run_agents(capsys: pytest.CaptureFixture[str], *flags: str, strategy: str) -> dict[str, dict[str, str]]:
    """Returns agent -> its labels."""
    assert parse_nfd([*flags, "--export", "labels"]) is None
    nfd = json.loads(capsys.readouterr().out or "{}")
    program = parse_gfd([*flags, "--oneshot", "--publish", "stdout", "--mig-strategy", strategy, "--no-timestamp"])
    assert program is not None
    assert program.once is not None
    assert program.once(Services())
    gfd = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())
    return {"nfd-lite": nfd, "gfd": gfd}


@pytest.mark.parametrize(("scenario", "host", "strategy"), CASES, ids=lambda value: value)
def test_the_labels_are_those_of_the_agents(
    scenario: str, host: str, strategy: str, show: Show, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = load_host(host, tmp_path / host).root.base
    result = show(
        "--mig-strategy", strategy, "--no-timestamp", "true", "-o", "json", host=root, simulate=scenario, sources="all"
    )
    assert result.exit_code == 0
    shown: dict[str, dict[str, str]] = {"nfd-lite": {}, "gfd": {}}
    for label in json.loads(result.stdout)["labels"]:
        shown[label["agent"]][label["key"]] = label["value"]
    flags = ["--host-root", str(root), "--lock-dir", str(tmp_path / "lock"), "--simulate", scenario]
    assert shown == run_agents(capsys, *flags, strategy=strategy)
