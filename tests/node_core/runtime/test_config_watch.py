"""A change of the content of a config file is reported once, for each kind of replacement."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node_core.runtime.config_watch import ConfigWatch, fingerprint


class Changes:
    """Counts the calls, and waits for them."""

    def __init__(self) -> None:
        self.count = 0
        self._calls = threading.Semaphore(0)

    def __call__(self) -> None:
        self.count += 1
        self._calls.release()

    def one_more(self) -> None:
        assert self._calls.acquire(timeout=60), "no change was reported"


@pytest.fixture
def changes() -> Changes:
    return Changes()


@pytest.fixture
def watching(changes: Changes) -> Iterator[Callable[..., ConfigWatch]]:
    made: list[ConfigWatch] = []

    def start(*paths: Path) -> ConfigWatch:
        made.append(ConfigWatch({path: fingerprint(path) for path in paths}, changes, settle=0.01))
        made[-1].start()
        return made[-1]

    yield start
    for watch in made:
        watch.stop()
    assert not any(thread.name == "directory-watch" for thread in threading.enumerate())


def test_a_rewritten_replaced_deleted_or_created_file_is_reported(
    tmp_path: Path, changes: Changes, watching: Callable[..., None]
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("a: 1")
    watching(path)
    path.write_text("a: 2")
    changes.one_more()
    (tmp_path / "new").write_text("a: 3")
    (tmp_path / "new").rename(path)
    changes.one_more()
    path.unlink()
    changes.one_more()
    path.write_text("a: 3")
    changes.one_more()


def test_the_swapped_folder_of_a_mounted_configmap_is_reported(
    tmp_path: Path, changes: Changes, watching: Callable[..., None]
) -> None:
    for version in ("1", "2"):
        (tmp_path / f"..{version}").mkdir()
        (tmp_path / f"..{version}" / "config.yaml").write_text(f"a: {version}")
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "config.yaml").symlink_to("..data/config.yaml")
    watching(tmp_path / "config.yaml")
    (tmp_path / "..data_tmp").symlink_to("..2")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    changes.one_more()
    assert changes.count == 1


def test_only_new_content_is_reported_and_only_once(tmp_path: Path, changes: Changes) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("a: 1")
    watch = ConfigWatch({path: fingerprint(path) for path in (first, second)}, changes, settle=0)
    first.write_text("a: 1")
    (tmp_path / "beside").touch()
    watch._check()
    assert changes.count == 0
    second.write_text("b: 1")
    watch._check()
    watch._check()
    assert changes.count == 1


def test_a_file_that_is_read_while_it_is_written_is_reported_once_and_complete(changes: Changes) -> None:
    path = Path("/config.yaml")
    contents = iter(["truncated", "half", "complete", "complete"])
    watch = ConfigWatch({path: "first"}, changes, settle=0, read=lambda _: next(contents))
    watch._check()
    assert changes.count == 1
    assert list(contents) == []


def test_after_a_stop_no_check_waits_for_the_end_of_a_write(changes: Changes) -> None:
    watch = ConfigWatch({Path("/config.yaml"): "first"}, changes, settle=3600, read=lambda _: "half")
    watch.stop()
    watch._check()
    assert changes.count == 0


def test_a_file_that_has_its_old_content_again_is_not_reported(changes: Changes) -> None:
    contents = iter(["truncated", "first"])
    watch = ConfigWatch({Path("/config.yaml"): "first"}, changes, settle=0, read=lambda _: next(contents))
    watch._check()
    assert changes.count == 0


def test_a_change_between_the_read_and_the_start_of_the_watch_is_reported(tmp_path: Path, changes: Changes) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("a: 1")
    read = {path: fingerprint(path)}
    path.write_text("a: 2")
    watch = ConfigWatch(read, changes, settle=0)
    watch.start()
    changes.one_more()
    watch.stop()


def test_a_folder_that_is_created_later_is_watched(
    tmp_path: Path, changes: Changes, watching: Callable[..., None]
) -> None:
    path = tmp_path / "etc" / "nfd" / "worker.conf"
    watching(path)
    path.parent.mkdir(parents=True)
    path.write_text("core: {}")
    changes.one_more()


def test_only_a_file_has_a_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert fingerprint(tmp_path / "file")
    assert fingerprint(tmp_path) == fingerprint(tmp_path / "nothing") == fingerprint(tmp_path / "file" / "x") == ""
