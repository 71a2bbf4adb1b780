import fcntl
import os
from pathlib import Path

import pytest

from node_core.host.flock import is_locked, open_locked, try_lock


def test_a_lock_excludes_others_until_its_descriptor_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "folder" / "lock"
    first = open_locked(path, fcntl.LOCK_EX)
    assert first is not None
    assert open_locked(path, fcntl.LOCK_EX) is None
    os.close(first)
    second = open_locked(path, fcntl.LOCK_SH)
    assert second is not None
    third = open_locked(path, fcntl.LOCK_SH)
    assert third is not None
    for each in (second, third):
        os.close(each)


@pytest.mark.parametrize("result", [False, OSError("no locks")], ids=["in-use", "no-locks"])
def test_the_file_is_closed_if_the_lock_is_not_acquired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, result: bool | OSError
) -> None:
    opened: list[int] = []

    def refuse(descriptor: int, _: int) -> bool:
        opened.append(descriptor)
        if isinstance(result, OSError):
            raise result
        return result

    monkeypatch.setattr("node_core.host.flock.try_lock", refuse)
    if result is False:
        assert open_locked(tmp_path / "lock", fcntl.LOCK_EX) is None
    else:
        with pytest.raises(OSError, match="no locks"):
            open_locked(tmp_path / "lock", fcntl.LOCK_EX)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])


def test_a_descriptor_that_cannot_be_locked_is_an_error(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    os.close(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        try_lock(descriptor, fcntl.LOCK_EX)


def test_a_locked_file_is_recognized_without_a_change(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    descriptor = open_locked(path, fcntl.LOCK_EX)
    assert descriptor is not None
    path.chmod(0o444)
    assert is_locked(path)
    os.close(descriptor)
    assert not is_locked(path)
    assert not is_locked(path), "the first call left no lock"
    with pytest.raises(FileNotFoundError):
        is_locked(tmp_path / "missing")
