"""`make scale` shows that it works while a phase needs minutes, and saves each phase."""

import json
from pathlib import Path
from typing import cast

import pytest

from benchmarks.scale.__main__ import Run, find_rate, render_progress
from benchmarks.scale.control_plane import ControlPlane
from benchmarks.scale.workers import Workers

LIST = 'apiserver_request_total{code="200",resource="nodes",verb="LIST"}'


class StubPlane:
    """Each reading of the metrics has one more LIST of Nodes."""

    def __init__(self) -> None:
        self._readings = 0
        self.admin = self

    def metrics(self) -> str:
        self._readings += 1
        return f"{LIST} {self._readings}\n"

    def memory(self) -> dict[str, float]:
        return {"etcd": 1.0, "kube-apiserver": 2.0}

    def database_bytes(self) -> int:
        return 2**20

    def request(self, *_: object, **__: object) -> dict[str, object]:
        return {"items": [], "metadata": {}}


class StubWorkers:
    def memory(self) -> tuple[float, int]:
        return 3.0, 4


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(
        plane=cast("ControlPlane", StubPlane()), workers=cast("Workers", StubWorkers()), nodes=0, hour=1.0, file=tmp_path / "scale.json",
        machine={},
    )  # fmt: skip


def test_a_run_that_is_interrupted_in_a_phase_has_saved_the_phases_before(run: Run) -> None:
    with run.phase("first", lambda _: iter(())):
        pass
    with pytest.raises(KeyboardInterrupt), run.phase("second", lambda _: iter(())):
        raise KeyboardInterrupt
    results = json.loads(run.file.read_text())
    assert [phase["title"] for phase in results["phases"]] == ["first"]
    assert results["phases"][0]["by_verb"] == {"LIST": 1}
    assert results["complete"] is False
    run.save(is_complete=True)
    assert json.loads(run.file.read_text())["complete"] is True


def test_a_phase_is_named_when_it_begins(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with run.phase("restart", lambda _: iter(())):
        assert capsys.readouterr().err == "restart ...\n"


def test_the_progress_has_the_requests_or_states_that_the_api_server_does_not_answer() -> None:
    assert render_progress(30.2, 500, 12.4) == "  30 s: 500 requests, 12 in the last second"
    assert render_progress(30.2, 500, None) == "  30 s: 500 requests"
    assert render_progress(30.2, None, None) == "  30 s: the API server does not answer"


@pytest.mark.parametrize(
    ("before", "now", "expected"), [(10, 30, 10.0), (None, 30, None), (10, None, None), (30, 10, None)]
)
def test_the_rate_is_known_after_two_counts_of_one_process(
    before: int | None, now: int | None, expected: float | None
) -> None:
    assert find_rate(before, now, 2.0) == expected
