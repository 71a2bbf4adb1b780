"""A file is replaced in one step or not at all."""

import errno
import os
import resource
from pathlib import Path

import pytest

from node_core.host.atomic_write import write_atomically, write_bytes_atomically
from tests.descriptors import open_files


def test_the_file_has_the_new_text_and_the_mode_with_any_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_atomically(tmp_path / "a", "1\n")
        assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644
        write_bytes_atomically(tmp_path / "a", b"3\n")
        assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644
        write_atomically(tmp_path / "a", "2\n", 0o640)
    finally:
        os.umask(before)
    assert (tmp_path / "a").read_text() == "2\n"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_text_is_on_the_disk_before_the_file_has_its_name_and_the_folder_is_synced_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bool]] = []

    def record(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((path.read_text() if path.is_file() else str(path), (tmp_path / "a").exists()))

    monkeypatch.setattr(os, "fsync", record)
    before = open_files()
    write_atomically(tmp_path / "a", "1\n")
    assert synced == [("1\n", False), (str(tmp_path), True)]
    assert open_files() <= before


def test_a_folder_that_cannot_be_synced_is_not_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_dir():
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    write_atomically(tmp_path / "a", "1\n")
    assert (tmp_path / "a").read_text() == "1\n"


def test_a_full_disk_leaves_only_the_old_text(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", "old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_atomically(tmp_path / "a", "new text")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_missing_folder_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "no" / "a", "1")
    assert not list(tmp_path.iterdir())


def test_a_file_like_another_has_its_mode_and_its_attributes(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text("x")
    old.chmod(0o604)
    has_attributes = _set_attribute(old)
    write_bytes_atomically(tmp_path / "new", b"y", like=old)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o604
    assert not has_attributes or os.getxattr(tmp_path / "new", "user.a") == b"1"


def _set_attribute(path: Path) -> bool:
    try:
        os.setxattr(path, "user.a", b"1")
    except OSError:
        return False
    return True
