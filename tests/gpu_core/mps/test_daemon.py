"""Reconciliation of one MPS folder, with a fake MPS program."""

import subprocess

import pytest
from structlog.testing import capture_logs

from gpu_core.mps.changes import MpsState
from gpu_core.mps.control import MpsControl
from gpu_core.mps.daemon import STABLE_SECONDS
from gpu_core.mps.state import write_state
from node_core.domain.backoff import Backoff
from tests.gpu_core.mps.stage import ALL_EXCLUSIVE, BEFORE, ONE, WANTED, Clock, Stage, is_alive, kill


class RecordingBackoff(Backoff):
    """A short back-off that records its calls."""

    delays: list[int]

    def delay(self, failures: int, chance: float) -> float:
        self.delays.append(failures)
        return 0.001


def recording_backoff() -> RecordingBackoff:
    made = RecordingBackoff(first=0.001, maximum=0.001)
    object.__setattr__(made, "delays", [])
    return made


def test_the_daemon_continues_after_a_stopped_thread_and_the_next_thread_adopts_it(stage: Stage) -> None:
    first = stage.serving()
    first.stop()
    assert first.done.wait(60)
    calls = stage.modes.calls
    stage.serving()
    assert is_alive(stage.pids[0], stage.folder)
    assert (len(stage.pids), stage.modes.calls, stage.modes.now) == (1, calls, ALL_EXCLUSIVE)


def test_the_end_of_an_adopted_daemon_is_noticed_at_once(stage: Stage) -> None:
    stage.serving().stop()
    second = stage.serving()
    kill(stage.pids[0])
    stage.until(lambda: len(stage.pids) == 2 and second.problem is None)


def test_a_daemon_of_an_earlier_process_is_adopted(stage: Stage) -> None:
    """The daemon is not a child of this process."""
    stage.folder.prepare()
    environment = {**stage.folder.environment, "CUDA_VISIBLE_DEVICES": WANTED.settings.visible}
    subprocess.run(["/bin/sh", "-c", f"{stage.control.program} -f >/dev/null &"], env=environment, check=True)
    stage.until(lambda: stage.control.is_serving(stage.folder))
    write_state(stage.folder, MpsState(modes=BEFORE, pid=stage.pids[0], settings=WANTED.settings))
    stage.modes.now = dict(ALL_EXCLUSIVE)
    daemon = stage.serving()
    assert len(stage.pids) == 1
    with capture_logs() as lines:
        kill(stage.pids[0])
        stage.until(lambda: len(stage.pids) == 2 and daemon.problem is None)
    assert [line["why"] for line in lines if line["event"] == "mps_daemon_down"] == ["its MPS daemon has ended"]
    daemon.stop()
    stage.end()
    assert stage.modes.now == BEFORE


def test_an_undesired_daemon_is_stopped_and_the_compute_modes_are_restored(stage: Stage) -> None:
    stage.serving().stop()
    stage.end()
    assert not is_alive(stage.pids[0], stage.folder)
    assert stage.modes.now == BEFORE
    assert stage.state is None
    assert stage.lines("commands")[-1] == "quit"


def test_a_daemon_that_ends_is_reported_and_restarted(stage: Stage) -> None:
    daemon = stage.serving()
    with capture_logs() as lines:
        kill(stage.pids[0])
        stage.until(lambda: len(stage.pids) == 2 and daemon.problem is None)
    assert [(line["log_level"], line["event"], line["why"]) for line in lines] == [
        ("warning", "mps_daemon_down", "its MPS daemon ended with status -9"),
        ("info", "mps_daemon_ready", None),
    ]


@pytest.mark.parametrize(
    ("served", "expected"), [(STABLE_SECONDS - 1, [1, 2, 3]), (STABLE_SECONDS, [1, 1, 1])], ids=["short", "long"]
)
def test_a_daemon_that_ends_early_is_restarted_with_growing_delays(
    stage: Stage, served: float, expected: list[int]
) -> None:
    retries = recording_backoff()
    daemon = stage.daemon(retries=retries, clock=Clock(served))
    for lives in (1, 2, 3):
        stage.until(lambda lives=lives: len(stage.pids) == lives and daemon.problem is None)  # type: ignore[misc]
        kill(stage.pids[-1])
    stage.until(lambda: len(retries.delays) >= 3)
    assert retries.delays[:3] == expected


def test_a_daemon_that_did_not_accept_its_limits_is_not_adopted(stage: Stage) -> None:
    stage.serving().stop()
    write_state(stage.folder, MpsState(modes=BEFORE, pid=stage.pids[0]))
    stage.serving()
    assert len(stage.pids) == 2
    assert not is_alive(stage.pids[0], stage.folder)


def test_a_daemon_of_another_program_is_used_and_never_stopped(stage: Stage) -> None:
    stage.folder.prepare()
    foreign = subprocess.Popen(
        [str(stage.control.program), "-f"], env=stage.folder.environment | {"CUDA_VISIBLE_DEVICES": "all"}
    )
    try:
        stage.until(lambda: stage.control.is_serving(stage.folder))
        daemon = stage.daemon()
        stage.until(lambda: daemon.problem is None)
        daemon.stop()
        stage.end()
        assert foreign.poll() is None
        assert stage.modes.now == BEFORE
    finally:
        foreign.kill()
        foreign.wait()


@pytest.mark.parametrize("case", ["no program", "ends at once", "no right to set modes", "no folder"])
def test_a_missing_requirement_is_reported_and_retried(stage: Stage, case: str) -> None:
    expected = {
        "no program": "the driver does not contain nvidia-cuda-mps-control",
        "ends at once": "its MPS daemon ended during its start with status 3",
        "no right to set modes": "nvmlDeviceSetComputeMode returned NO_PERMISSION",
        "no folder": f"cannot create {stage.folder.base}",
    }[case]
    match case:
        case "no program":
            stage.control = MpsControl(None)
        case "ends at once":
            stage.folder.prepare()
            (stage.folder.pipe / "broken").touch()
        case "no right to set modes":
            stage.modes.refused = {ONE}
        case _:
            (stage.root / "nvidia.com").write_text("in the way")
    daemon = stage.daemon()
    stage.until(lambda: expected in str(daemon.problem))
    daemon.stop()
