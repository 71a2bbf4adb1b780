"""Commands around a change of layouts."""

import os
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from gpu_core.mig.hooks import HookPoint
from gpu_core.mig.plan import GpuPlan
from gpu_core.mig.planner import DesiredGpu, plan_gpu
from mig_manager.hooks import MAX_OUTPUT, HookRunner, ReportHook, select_points
from node_core.errors import MigError, SettingsError
from tests.gpu_core.mig.boards import mig_gpu

ON = plan_gpu(mig_gpu(enabled=False), DesiredGpu(is_enabled=True))
CREATE = plan_gpu(mig_gpu(), DesiredGpu(is_enabled=True, devices={"1g.10gb": 1}))
BOTH = plan_gpu(mig_gpu(enabled=False), DesiredGpu(is_enabled=True, devices={"1g.10gb": 1}))


def ignore(*_: object) -> None:
    """Accepts the reports of hooks."""


def runner(folder: Path, seconds: float = 60.0, **commands: str) -> HookRunner:
    """commands: the shell command of each point, with `_` for `-`. `$OUT` is the file that `output` returns."""
    hooks = {
        name.replace("_", "-"): [
            {"workdir": str(folder), "command": "/bin/sh", "args": ["-c", text], "envs": {"OUT": "out"}}
        ]
        for name, text in commands.items()
    }
    path = folder / "hooks.yaml"
    path.write_text(yaml.safe_dump({"version": "v1", "hooks": hooks}))
    return HookRunner(path=path, seconds=seconds)


@contextmanager
def around(hooks: HookRunner, plans: list[GpuPlan], report: ReportHook) -> Iterator[None]:
    with hooks.open() as session:
        session.run_before(plans, report)
        yield


def output(folder: Path) -> list[str]:
    file = folder / "out"
    return file.read_text().split() if file.exists() else []


def wait_for_end(pid: int) -> None:
    """Returns when the process has ended, also if nobody has waited for it yet."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    assert select.select([descriptor], [], [], 30.0)[0], "the process runs"
    os.close(descriptor)


@pytest.mark.parametrize(
    ("plans", "points"),
    [
        ([ON], [HookPoint.APPLY_START, HookPoint.PRE_APPLY_MODE]),
        ([CREATE], [HookPoint.APPLY_START, HookPoint.PRE_APPLY_CONFIG]),
        ([CREATE, ON], [HookPoint.APPLY_START, HookPoint.PRE_APPLY_MODE, HookPoint.PRE_APPLY_CONFIG]),
        ([BOTH], [HookPoint.APPLY_START, HookPoint.PRE_APPLY_MODE, HookPoint.PRE_APPLY_CONFIG]),
    ],
    ids=["mode", "instances", "two GPUs", "both"],
)
def test_the_points_depend_on_what_changes(plans: list[GpuPlan], points: list[HookPoint]) -> None:
    assert list(select_points(plans)) == points


def test_the_commands_run_in_order_around_the_change(tmp_path: Path) -> None:
    hooks = runner(
        tmp_path,
        apply_start="echo start >> $OUT",
        pre_apply_mode="echo mode >> $OUT",
        pre_apply_config="echo config >> $OUT",
        apply_exit="echo exit >> $OUT",
    )
    with around(hooks, [BOTH], ignore):
        assert output(tmp_path) == ["start", "mode", "config"]
    assert output(tmp_path) == ["start", "mode", "config", "exit"]


def test_in_several_rounds_of_one_attempt_each_command_runs_once(tmp_path: Path) -> None:
    names = ("apply_start", "pre_apply_mode", "pre_apply_config", "apply_exit")
    hooks = runner(tmp_path, 60.0, **{name: f"echo {name} >> $OUT" for name in names})
    with hooks.open() as session:
        for plans in ([ON], [CREATE], [BOTH]):
            session.run_before(plans, ignore)
    assert output(tmp_path) == list(names)


def test_without_a_change_no_command_runs(tmp_path: Path) -> None:
    with runner(tmp_path, apply_exit="echo exit >> $OUT").open():
        pass
    assert output(tmp_path) == []


def test_each_command_is_reported_before_it_runs(tmp_path: Path) -> None:
    hooks = runner(tmp_path, apply_start="echo start >> $OUT", apply_exit="echo exit >> $OUT")
    reports: list[tuple[str, list[str]]] = []
    with around(hooks, [CREATE], lambda point, _: reports.append((point, output(tmp_path)))):
        pass
    assert reports == [("apply-start", []), ("apply-exit", ["start"])]


def test_a_command_that_fails_prevents_the_change_and_the_last_ones_run(tmp_path: Path) -> None:
    hooks = runner(tmp_path, apply_start="echo no driver; exit 3", apply_exit="echo exit >> $OUT")
    with (
        pytest.raises(MigError, match="the hook apply-start, /bin/sh, failed: status 3: no driver"),
        around(hooks, [CREATE], ignore),
    ):
        pytest.fail("the change has begun")
    assert output(tmp_path) == ["exit"]


def test_the_last_commands_run_after_a_failed_change_and_do_not_hide_its_error(tmp_path: Path) -> None:
    hooks = runner(tmp_path, apply_exit="echo exit >> $OUT; exit 1")
    with pytest.raises(MigError, match="the change failed"), around(hooks, [CREATE], ignore):
        raise MigError("the change failed")
    assert output(tmp_path) == ["exit"]


def test_a_command_that_does_not_end_is_a_failure(tmp_path: Path) -> None:
    hooks = runner(tmp_path, seconds=0.05, apply_start="exec sleep 60")
    with pytest.raises(MigError, match="did not end within"), around(hooks, [CREATE], ignore):
        pytest.fail("the change has begun")


def test_the_processes_of_a_command_that_does_not_end_are_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "out")
    wait = subprocess.Popen.wait
    pids: list[int] = []

    def expire(process: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        if pids:  # after the kill
            return wait(process)
        pids.append(int((tmp_path / "out").read_text()))
        raise subprocess.TimeoutExpired("sh", timeout or 0.0)

    monkeypatch.setattr(subprocess.Popen, "wait", expire)
    hooks = runner(tmp_path, apply_start="sleep 1000 & echo $! > $OUT; wait")
    with pytest.raises(MigError, match="did not end within"), around(hooks, [CREATE], ignore):
        pytest.fail("the change has begun")
    wait_for_end(pids[0])


def test_a_process_in_the_background_does_not_delay_the_change(tmp_path: Path) -> None:
    hooks = runner(tmp_path, apply_start="sleep 1000 & echo $! > $OUT; exit 3")
    with pytest.raises(MigError, match="status 3"), around(hooks, [CREATE], ignore):
        pytest.fail("the change has begun")
    os.kill(int(output(tmp_path)[0]), signal.SIGKILL)


def test_only_the_end_of_a_long_output_is_reported(tmp_path: Path) -> None:
    hooks = runner(tmp_path, apply_start="head -c 1000000 /dev/zero; printf 'the reason\\n'; exit 1")
    with pytest.raises(MigError, match="the reason") as caught, around(hooks, [CREATE], ignore):
        pytest.fail("the change has begun")
    assert len(str(caught.value)) < 2 * MAX_OUTPUT


def test_a_program_that_does_not_exist_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "hooks.yaml"
    path.write_text("{version: v1, hooks: {apply-start: [{command: /absent/program}]}}")
    with pytest.raises(MigError, match="No such file or directory"), around(HookRunner(path=path), [CREATE], ignore):
        pytest.fail("the change has begun")


@pytest.mark.parametrize("text", ["version: v2", "{version: v1, hooks: {apply-begin: []}}"])
def test_a_file_that_is_not_valid_prevents_the_change(tmp_path: Path, text: str) -> None:
    path = tmp_path / "hooks.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError), around(HookRunner(path=path), [CREATE], ignore):
        pytest.fail("the change has begun")


def test_without_a_file_nothing_runs() -> None:
    with around(HookRunner(), [CREATE], ignore):
        pass
