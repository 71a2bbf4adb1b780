"""Texts in programs."""

import os
from pathlib import Path

import pytest

from gpu_core.host.program_texts import find_texts

TEXTS = (b"create-symlinks", b"update-ldcache")
CHUNK = 1 << 18


@pytest.mark.parametrize("start", [0, 1, CHUNK - 20, CHUNK - 1, CHUNK, 3 * CHUNK - 7])
def test_a_text_is_found_at_every_position_also_across_two_pieces(start: int, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(bytes(start) + b"xupdate-ldcachey" + bytes(10))
    assert find_texts(program, TEXTS) == {b"update-ldcache"}


def test_a_text_beyond_the_limit_is_not_found(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(bytes(100) + b"update-ldcache")
    assert find_texts(program, TEXTS, limit=100) == frozenset()


def test_a_short_or_empty_file_has_no_texts(tmp_path: Path) -> None:
    program = tmp_path / "program"
    for content in (b"", b"u", b"update-ldcach"):
        program.write_bytes(content)
        assert find_texts(program, TEXTS) == frozenset()


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert find_texts(tmp_path / "pipe", TEXTS) == frozenset()


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        find_texts(tmp_path / "missing", TEXTS)
