"""Files of users: changes are reported, and content is decoded."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfd_lite.user_files import decode_text, watch_folder
from node_core.host.root import HostRoot, NotReadable

FOLDER = "/etc/features.d"


class Changes:
    """The content of the files at each call."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._arrived = threading.Condition()
        self.contents: list[dict[str, str]] = []

    def __call__(self) -> None:
        found = {path.name: path.read_text() for path in self._folder.glob("*")} if self._folder.is_dir() else {}
        with self._arrived:
            self.contents.append(found)
            self._arrived.notify_all()

    def until(self, expected: dict[str, str]) -> None:
        with self._arrived:
            assert self._arrived.wait_for(lambda: bool(self.contents) and self.contents[-1] == expected, 60), (
                self.contents
            )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / FOLDER.lstrip("/")


@pytest.fixture
def changes(folder: Path, tmp_path: Path) -> Iterator[Changes]:
    recorded = Changes(folder)
    watch = watch_folder(HostRoot(tmp_path), FOLDER, recorded)
    watch.start()
    yield recorded
    watch.stop()


def test_every_change_of_a_file_is_reported(folder: Path, changes: Changes) -> None:
    changes.until({})
    folder.mkdir(parents=True)
    (folder / "a").write_text("1")
    changes.until({"a": "1"})
    (folder / "a").write_text("2")
    changes.until({"a": "2"})
    (folder / ".new").write_text("3")
    (folder / ".new").rename(folder / "a")
    changes.until({"a": "3"})
    (folder / "a").rename(folder / "b")
    changes.until({"b": "3"})
    (folder / "b").unlink()
    changes.until({})


def test_a_replaced_folder_is_watched(folder: Path, changes: Changes) -> None:
    folder.mkdir(parents=True)
    (folder / "a").write_text("1")
    changes.until({"a": "1"})
    folder.rename(folder.with_name("old"))
    changes.until({})
    folder.mkdir()
    (folder / "a").write_text("2")
    changes.until({"a": "2"})


def test_a_change_of_mode_is_a_change(folder: Path, changes: Changes) -> None:
    folder.mkdir(parents=True)
    (folder / "a").write_text("1")
    changes.until({"a": "1"})
    before = len(changes.contents)
    (folder / "a").chmod(0o600)
    with changes._arrived:
        assert changes._arrived.wait_for(lambda: len(changes.contents) > before, 60)


def test_a_burst_of_changes_causes_few_calls_and_the_last_change_is_reported(folder: Path, changes: Changes) -> None:
    folder.mkdir(parents=True)
    for number in range(500):
        (folder / "a").write_text(str(number))
    changes.until({"a": "499"})
    assert len(changes.contents) < 100


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_the_bytes_of_a_file_are_decoded_or_refused(content: bytes) -> None:
    found = decode_text(content, 200)
    assert isinstance(found, NotReadable) or (isinstance(found, str) and found.encode() == content)
