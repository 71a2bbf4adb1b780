"""The state file of an MPS folder."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gpu_core.domain.inventory import GpuUuid
from gpu_core.mps.changes import MpsState
from gpu_core.mps.control import MpsError, MpsFolder
from gpu_core.mps.spec import MpsSettings
from gpu_core.mps.state import NAME, discover_folders, read_state, remove_state, write_state

ONE = GpuUuid("GPU-1")
STATE = MpsState(modes={ONE: 0}, pid=7, settings=MpsSettings(visible=ONE, commands=("a", "b")))


@contextmanager
def full_disk() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_written_state_is_read_back(tmp_path: Path) -> None:
    folder = MpsFolder(base=tmp_path)
    assert read_state(folder) is None
    write_state(folder, STATE)
    assert read_state(folder) == STATE
    remove_state(folder)
    remove_state(folder)
    assert read_state(folder) is None


def test_on_a_full_disk_the_old_state_remains(tmp_path: Path) -> None:
    folder = MpsFolder(base=tmp_path)
    write_state(folder, STATE)
    with (
        full_disk(),
        pytest.raises(MpsError, match=rf"cannot write {tmp_path}/\.gpunode: File too large \(free disk space"),
    ):
        write_state(folder, MpsState(modes={ONE: 3}))
    assert read_state(folder) == STATE
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_the_modes_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"told": {"visible": "GPU-1", "commands": []}, "modes": {"GPU-1": 2}}')
    assert read_state(MpsFolder(base=tmp_path)) == MpsState(modes={ONE: 2})


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"modes": {"GPU-1": "Default"}}', b"\xff"])
def test_a_damaged_file_is_marked_as_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    assert read_state(MpsFolder(base=tmp_path)) == MpsState(is_damaged=True)


def test_an_unreadable_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(MpsError, match=r"cannot read .*: Is a directory"):
        read_state(MpsFolder(base=tmp_path))
    with pytest.raises(MpsError, match="cannot remove "):
        remove_state(MpsFolder(base=tmp_path))


def test_only_folders_with_a_state_file_are_discovered(tmp_path: Path) -> None:
    for name in ("nvidia.com/gpu", "nvidia.com/gpu.shared"):
        (tmp_path / name).mkdir(parents=True)
        write_state(MpsFolder(base=tmp_path / name), STATE)
    (tmp_path / "nvidia.com/theirs/pipe").mkdir(parents=True)
    assert list(discover_folders(tmp_path)) == ["nvidia.com/gpu", "nvidia.com/gpu.shared"]
    assert list(discover_folders(tmp_path / "gone")) == []
