"""The files for pods of others."""

import subprocess
from pathlib import Path

import pytest

from gpu_validator.check import Check, Name, Report, failed, passed
from gpu_validator.files import STAGES, DriverPlace, plan_files, write_files

PLACE = DriverPlace()
ALL = Report(checks=tuple(passed(name, "works") for name in Name))


def failing(*names: Name) -> Report:
    def check(name: Name) -> Check:
        return failed(name, "a", "b") if name in names else passed(name, "works")

    return Report(checks=tuple(map(check, Name)))


@pytest.mark.parametrize(
    ("report", "files"),
    [
        (ALL, {"driver-ready", "toolkit-ready", "cuda-ready", "plugin-ready"}),
        (failing(Name.CONTAINER), {"driver-ready", "toolkit-ready", "cuda-ready"}),
        (failing(Name.CUDA), {"driver-ready", "toolkit-ready", "plugin-ready"}),
        (failing(Name.CDI), {"driver-ready"}),
        (failing(Name.DEVICE_NODES), set()),
        (Report(has_gpus=False), set()),
    ],
    ids=["all", "container", "cuda", "cdi", "device nodes", "no gpu"],
)
def test_each_file_needs_its_checks(report: Report, files: set[str]) -> None:
    assert plan_files(report, PLACE).keys() == files


def test_files_appear_and_disappear_with_their_checks(tmp_path: Path) -> None:
    folder = tmp_path / "validations"
    assert write_files(folder, plan_files(ALL, PLACE)) is None
    (folder / ".driver-ctr-ready").touch()
    assert {each.name for each in folder.iterdir()} == {*STAGES, ".driver-ctr-ready"}
    write_files(folder, plan_files(failing(Name.DRIVER), PLACE))
    assert [each.name for each in folder.iterdir()] == [".driver-ctr-ready"]


def test_equal_files_are_not_written_again(tmp_path: Path) -> None:
    write_files(tmp_path, plan_files(ALL, PLACE))
    before = {each.name: each.stat().st_ino for each in tmp_path.iterdir()}
    write_files(tmp_path, plan_files(ALL, PLACE))
    assert {each.name: each.stat().st_ino for each in tmp_path.iterdir()} == before


def test_a_folder_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be updated" in str(write_files(tmp_path / "file" / "folder", plan_files(ALL, PLACE)))
    assert write_files(tmp_path / "missing", {}) is None


def test_a_file_with_other_content_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "driver-ready").write_bytes(b"\xff")
    write_files(tmp_path, plan_files(ALL, PLACE))
    assert (tmp_path / "driver-ready").read_text() == PLACE.render()


@pytest.mark.parametrize(
    ("place", "lines"),
    [
        (DriverPlace(), ["true", "/", "/host", "/", "/host"]),
        (
            DriverPlace(driver="/run/nvidia/driver", dev="/run/nvidia/driver"),
            ["false", "/run/nvidia/driver", "/driver-root", "/run/nvidia/driver", "/driver-root"],
        ),
        (DriverPlace(driver="/home/a b/$(x)"), ["false", "/home/a b/$(x)", "/driver-root", "/", "/host"]),
    ],
    ids=["host", "container", "quoted"],
)
def test_a_shell_reads_the_variables_of_driver_ready(place: DriverPlace, lines: list[str], tmp_path: Path) -> None:
    (tmp_path / "driver-ready").write_text(place.render())
    names = ["IS_HOST_DRIVER", "NVIDIA_DRIVER_ROOT", "DRIVER_ROOT_CTR_PATH", "NVIDIA_DEV_ROOT", "DEV_ROOT_CTR_PATH"]
    script = ". ./driver-ready; " + "; ".join(f'echo "${name}"' for name in names)
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == lines
