"""The processes that use the driver, for error messages."""

from pathlib import Path

from driver_manager.users import MAX_NAMED, list_device_users

UID = "01234567-89ab-cdef-0123-456789abcdef"


def add_process(proc: Path, pid: int, *files: str, command: str = "python3", cgroup: str = "/") -> None:
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    for number, target in enumerate(files):
        (folder / "fd" / str(number)).symlink_to(target)
    (folder / "comm").write_text(f"{command}\n")
    (folder / "cgroup").write_text(f"0::{cgroup}\n")
    (folder / "stat").write_text(f"{pid} ({command}) S " + " ".join(["1"] * 40))


def test_processes_with_a_device_of_the_driver_are_named_with_their_pod(tmp_path: Path) -> None:
    add_process(tmp_path, 12, "/dev/null", "/dev/nvidia-uvm", "/dev/nvidia0", cgroup=f"/kubepods/pod{UID}/{'a' * 64}")
    add_process(tmp_path, 7, "/dev/nvidiactl", command="nv-hostengine")
    add_process(tmp_path, 9, "/dev/null", "/tmp/dev/nvidia0")
    (tmp_path / "self").mkdir()
    assert list_device_users(tmp_path) == (
        "process 7 (nv-hostengine)",
        f"process 12 (python3) of the pod with the UID {UID}",
    )


def test_many_processes_are_counted(tmp_path: Path) -> None:
    for pid in range(1, MAX_NAMED + 4):
        add_process(tmp_path, pid, "/dev/nvidia0")
    assert list_device_users(tmp_path)[-1] == "3 other processes"


def test_a_hostile_name_is_not_shown(tmp_path: Path) -> None:
    add_process(tmp_path, 7, "/dev/nvidia0", command="\x1b[2J")
    assert list_device_users(tmp_path) == ("process 7",)


def test_a_process_that_ends_meanwhile_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    assert list_device_users(tmp_path) == ()
