"""Labels as lines on a stream and in a file."""

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_core.domain.desired import Outputs
from node_core.errors import PublishError
from node_core.publish.lines import FileWriter, StreamWriter, parse_lines, render_lines
from node_core.publish.writer import Writer, write_outputs

KEYS = st.from_regex(r"[a-z]{1,5}/[a-z.]{1,8}[a-z]", fullmatch=True)


def publish(writer: Writer, labels: dict[str, str]) -> bool:
    return write_outputs(writer, Outputs(labels=labels))


@given(st.dictionaries(KEYS, st.from_regex(r"[A-Za-z0-9]{0,8}", fullmatch=True)))
def test_rendered_lines_are_parsed_to_the_same_labels(labels: dict[str, str]) -> None:
    assert parse_lines(render_lines(labels)) == labels


def test_lines_are_sorted_and_may_have_empty_values() -> None:
    assert render_lines({"b": "2", "a": ""}) == "a=\nb=2\n"


def test_the_stream_prints_once_for_the_same_labels() -> None:
    stream = io.StringIO()
    writer = StreamWriter(stream)
    assert [publish(writer, {"a": "1"}), publish(writer, {"a": "1"}), publish(writer, {})] == [True, False, True]
    assert stream.getvalue() == "a=1\n"


def test_the_file_is_replaced_only_for_changes_and_without_temporary_files(tmp_path: Path) -> None:
    path = tmp_path / "gfd"
    writer = FileWriter(path)
    assert writer.published().labels == {}
    assert publish(writer, {"a": "1"})
    inode = path.stat().st_ino
    assert not publish(writer, {"a": "1"})
    assert path.stat().st_ino == inode
    assert publish(writer, {"a": "2"})
    assert writer.published().labels == {"a": "2"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["gfd"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_only_a_regular_file_is_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for path in (tmp_path / "fifo", tmp_path / "link", Path("/dev/null")):
        with pytest.raises(PublishError, match="is not a regular file"):
            FileWriter(path).published()
        with pytest.raises(PublishError, match="is not a regular file"):
            publish(FileWriter(path), {"a": "1"})
    assert Path("/dev/null").is_char_device()


def test_a_closed_stream_is_a_publish_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream, pytest.raises(PublishError, match="cannot write the labels"):
        publish(StreamWriter(stream), {"a": "1"})


def test_a_missing_directory_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"cannot write .*create the directory"):
        publish(FileWriter(tmp_path / "no" / "gfd"), {"a": "1"})
    with pytest.raises(PublishError, match="is not a regular file"):
        FileWriter(tmp_path).published()
