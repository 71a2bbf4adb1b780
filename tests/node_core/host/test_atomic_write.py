"""A file is replaced in one step or not at all."""

import os
import resource
from pathlib import Path

import pytest

from node_core.host.atomic_write import write_atomically


def test_the_file_has_the_new_text_and_the_mode_with_any_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_atomically(tmp_path / "a", "1\n")
        write_atomically(tmp_path / "a", "2\n", 0o640)
    finally:
        os.umask(before)
    assert (tmp_path / "a").read_text() == "2\n"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


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
