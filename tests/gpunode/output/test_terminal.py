"""Colours and width of terminals and pipes, and the progress line."""

import io
import threading

import pytest

from gpunode.output import terminal
from gpunode.output.terminal import Progress, Styled, Terminal, open_terminal, show_progress


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "has_colors"),
    [({}, True), ({"TERM": "dumb"}, False), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False)],
    ids=str,
)
def test_a_terminal_has_its_width_and_may_have_colours(
    environment: dict[str, str], has_colors: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert open_terminal(Tty(), environment) == Terminal(width=40, is_interactive=True, has_colors=has_colors)


def test_a_pipe_has_no_colours_and_no_limit_of_width() -> None:
    assert open_terminal(io.StringIO(), {"COLUMNS": "40"}) == Terminal()


def test_colours_can_be_forced() -> None:
    assert open_terminal(io.StringIO(), {"FORCE_COLOR": "1"}).has_colors


def test_a_style_is_used_only_with_colours() -> None:
    cell = Styled("a\x1b", "red")
    assert Terminal().render(cell) == "a?"
    assert Terminal(has_colors=True).render(cell) == "\x1b[31ma?\x1b[0m"
    assert Terminal(has_colors=True).render("a\x1b") == "a?"


def test_progress_is_shown_in_a_terminal_after_some_time(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = threading.Event()
    monkeypatch.setattr(terminal, "PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr(Progress, "show", lambda _: shown.set())
    monkeypatch.setattr("sys.stderr", Tty())
    with show_progress("Reading nodes"):
        assert shown.wait(60)


def test_the_line_of_progress_is_replaced_and_then_removed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "12")
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *_: False)
    progress = Progress("Reading nodes")
    progress.show()
    progress.update("a\x1b")
    progress.end()
    assert capsys.readouterr().err == "\r\x1b[KReading nod\r\x1b[Ka?\r\x1b[K"


def test_progress_that_has_ended_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("Reading nodes")
    progress.end()
    progress.show()
    assert capsys.readouterr().err == ""


def test_no_progress_is_shown_in_a_pipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(terminal, "PROGRESS_SECONDS", 0.0)
    with show_progress("Reading nodes") as progress:
        progress.update("Reading pods")
    assert capsys.readouterr() == ("", "")
