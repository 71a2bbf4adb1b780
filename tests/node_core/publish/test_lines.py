"""Labels as lines: on a stream, in a file."""

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_core.errors import PublishError
from node_core.publish.lines import FilePublisher, StreamPublisher, parse_lines, render_lines

KEYS = st.from_regex(r"[a-z]{1,5}/[a-z.]{1,8}[a-z]", fullmatch=True)


@given(st.dictionaries(KEYS, st.from_regex(r"[A-Za-z0-9]{0,8}", fullmatch=True)))
def test_lines_read_back_as_the_labels_they_were(labels: dict[str, str]) -> None:
    assert parse_lines(render_lines(labels)) == labels


def test_lines_are_sorted_and_an_empty_value_stays() -> None:
    assert render_lines({"b": "2", "a": ""}) == "a=\nb=2\n"


def test_the_stream_prints_once_for_the_same_labels() -> None:
    stream = io.StringIO()
    publisher = StreamPublisher(stream)
    assert [publisher.publish({"a": "1"}), publisher.publish({"a": "1"}), publisher.publish({})] == [True, False, True]
    assert stream.getvalue() == "a=1\n"


def test_the_file_is_replaced_only_when_it_changes_and_leaves_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "gfd"
    publisher = FilePublisher(path)
    assert publisher.known() == {}
    assert publisher.publish({"a": "1"})
    inode = path.stat().st_ino
    assert not publisher.publish({"a": "1"})
    assert path.stat().st_ino == inode
    assert publisher.publish({"a": "2"})
    assert publisher.known() == {"a": "2"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["gfd"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_only_a_regular_file_is_ever_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for path in (tmp_path / "fifo", tmp_path / "link", Path("/dev/null")):
        with pytest.raises(PublishError, match="no regular file"):
            FilePublisher(path).known()
        with pytest.raises(PublishError, match="no regular file"):
            FilePublisher(path).publish({"a": "1"})
    assert Path("/dev/null").is_char_device()


def test_a_stream_that_is_gone_is_an_error_and_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream, pytest.raises(PublishError, match="cannot write the labels"):
        StreamPublisher(stream).publish({"a": "1"})


def test_a_directory_that_is_missing_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"cannot write .*create the directory"):
        FilePublisher(tmp_path / "no" / "gfd").publish({"a": "1"})
    with pytest.raises(PublishError, match="no regular file"):
        FilePublisher(tmp_path).known()
