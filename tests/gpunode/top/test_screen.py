"""The screen in a real terminal."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpunode.output.screen import END_OF_LINE, ENTER, HOME, LEAVE, render_frame
from tests.exhaustive import params
from tests.gpunode.terminals import TerminalProcess


@pytest.fixture
def top(tmp_path: Path) -> Iterator[TerminalProcess]:
    folders = "--lock-dir", str(tmp_path), "--pod-resources-socket", str(tmp_path / "kubelet.sock")
    process = TerminalProcess(24, 100, "top", "--simulate", "h100x8", *folders, "--interval", "3600")
    yield process
    process.close()


def test_the_key_q_ends_the_program_and_restores_the_terminal(top: TerminalProcess) -> None:
    top.until_written(ENTER)
    top.until_written("GPU 7")
    top.press("q")
    assert top.end() == 0
    assert top.written.endswith(LEAVE)


@pytest.mark.parametrize(("number", "status"), params([(signal.SIGINT, 130), (signal.SIGTERM, 143)]))
def test_a_signal_restores_the_terminal(top: TerminalProcess, number: int, status: int) -> None:
    top.until_written("GPU 7")
    top.process.send_signal(number)
    assert top.end() == status
    assert top.written.endswith(LEAVE)


def test_a_smaller_terminal_shows_fewer_columns_at_once(top: TerminalProcess) -> None:
    top.until_written("NVIDIA H100")
    top.until_written("GPU 7")
    top.resize(24, 40)
    top.process.send_signal(signal.SIGWINCH)
    top.until_written("GPU 0    0 %    0.0/79.6 GiB   -\x1b")


def test_a_frame_replaces_the_last_one_without_clearing_it_first() -> None:
    frame = render_frame(["a", "b"], 10, "")
    assert frame == f"{HOME}a{END_OF_LINE}\r\nb{END_OF_LINE}\x1b[J"
    assert "\x1b[2J" not in frame


def test_a_low_terminal_states_how_many_lines_are_missing() -> None:
    frame = render_frame([str(number) for number in range(10)], 4, "use --once")
    assert frame.count("\r\n") == 3
    assert "7 more lines: enlarge the terminal, or use --once" in frame
