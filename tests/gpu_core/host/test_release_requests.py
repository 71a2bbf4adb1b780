"""Reading and writing release requests. Invalid files do not affect other requests."""

import os
from pathlib import Path

import pytest

from gpu_core.domain.release import DEFAULT_SECONDS
from gpu_core.host.release_requests import (
    MAX_BYTES,
    MAX_FILES,
    STALE_SECONDS,
    read_requests,
    remove_stale_requests,
    write_request,
)

NOW = 1_000_000.0


def written(folder: Path, name: str, content: bytes, *, ago: float = 0.0) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    os.utime(folder / name, (NOW - ago, NOW - ago))


def left(folder: Path) -> dict[str, float]:
    return {each.name: each.left for each in read_requests(folder, lambda: NOW)}


def test_without_a_folder_there_are_no_requests(tmp_path: Path) -> None:
    assert read_requests(tmp_path / "release.d", lambda: NOW) == ()
    (tmp_path / "file").touch()
    assert read_requests(tmp_path / "file", lambda: NOW) == ()


def test_a_request_lasts_from_the_time_of_its_file(tmp_path: Path) -> None:
    written(tmp_path, "a", b"60s", ago=20)
    written(tmp_path, "b", b"", ago=20)
    written(tmp_path, "over", b"60s", ago=61)
    written(tmp_path, "from-the-future", b"60s", ago=-9999)
    assert left(tmp_path) == {"a": 40.0, "b": DEFAULT_SECONDS - 20, "from-the-future": 60.0, "over": 0.0}


@pytest.mark.parametrize("content", [b"garbage", b"\xff\xfe", b"9" * (MAX_BYTES * 1000), b"infinite"])
def test_an_invalid_request_has_a_problem(tmp_path: Path, content: bytes) -> None:
    written(tmp_path, "bad", content)
    written(tmp_path, "good", b"60s")
    bad, good = read_requests(tmp_path, lambda: NOW)
    assert (bad.left, bool(bad.problem)) == (0.0, True)
    assert len(bad.sentence) < 300
    assert (good.left, good.problem) == (60.0, None)


def test_a_path_that_is_not_a_file_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("/dev/zero")
    assert all(each.problem for each in read_requests(tmp_path, lambda: NOW))
    assert len(left(tmp_path)) == 3


def test_every_descriptor_is_closed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    written(tmp_path, "bad", b"garbage")
    written(tmp_path, "good", b"60s")
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert len(left(tmp_path)) == 4
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_too_many_files_are_a_problem(tmp_path: Path) -> None:
    for number in range(MAX_FILES + 10):
        written(tmp_path, f"{number:04}", b"60s")
    *read, rest = read_requests(tmp_path, lambda: NOW)
    assert (len(read), {each.problem for each in read}) == (MAX_FILES, {None})
    assert rest.problem is not None


def test_expired_requests_do_not_hide_active_ones(tmp_path: Path) -> None:
    for number in range(MAX_FILES + 10):
        written(tmp_path, f"{number:04}", b"60s", ago=61)
    written(tmp_path, "valid", b"60s", ago=20)
    assert left(tmp_path)["valid"] == 40.0


def test_old_requests_are_removed(tmp_path: Path) -> None:
    written(tmp_path, "command-1", b"60s", ago=STALE_SECONDS + 1)
    written(tmp_path, ".command-1.77", b"6", ago=STALE_SECONDS + 1)
    written(tmp_path, "command-2", b"60s", ago=STALE_SECONDS - 1)
    written(tmp_path, "upgrade", b"60s", ago=STALE_SECONDS + 1)
    (tmp_path / "command-folder").mkdir()
    os.utime(tmp_path / "command-folder", (0, 0))
    remove_stale_requests(tmp_path, ("command-", "by-hand"), lambda: NOW)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["command-2", "command-folder", "upgrade"]


def test_a_request_is_written_atomically_and_starts_again(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "release.d"
    path = write_request(folder, "by-hand", 90)
    (first,) = read_requests(folder, lambda: path.stat().st_mtime)
    write_request(folder, "by-hand", 30)
    (second,) = read_requests(folder, lambda: path.stat().st_mtime)
    assert (first.left, second.left) == (90.0, 30.0)
    assert first.identity != second.identity
    assert [each.name for each in folder.iterdir()] == ["by-hand"]


def test_a_failed_write_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "by-hand").mkdir()
    with pytest.raises(OSError, match="by-hand"):
        write_request(tmp_path, "by-hand", 90)
    assert [each.name for each in tmp_path.iterdir()] == ["by-hand"]
