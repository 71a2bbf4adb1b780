"""Sentences in a terminal and in a pipe."""

from gpunode.output.paragraph import render_paragraph
from gpunode.output.terminal import Styled, Terminal

SENTENCE = "set --mig-strategy to mixed, or create equal MIG devices"


def test_a_pipe_gets_one_line() -> None:
    assert render_paragraph(Terminal(), SENTENCE, first="ok", indent=9) == [f"ok       {SENTENCE}"]


def test_a_terminal_gets_lines_of_its_width_with_an_indent() -> None:
    lines = render_paragraph(Terminal(width=40), SENTENCE, first="problem", indent=9)
    assert lines == [
        "problem  set --mig-strategy to mixed, or",
        "         create equal MIG devices",
    ]


def test_a_long_word_is_not_cut() -> None:
    name = "gpu-" * 20
    assert render_paragraph(Terminal(width=40), f"the Node {name} is", indent=2) == ["  the Node", f"  {name}", "  is"]


def test_a_tiny_terminal_and_an_empty_text_are_possible() -> None:
    assert render_paragraph(Terminal(width=1), "", first="ok", indent=9) == ["ok       "]
    assert all(len(line) < 30 for line in render_paragraph(Terminal(width=0), SENTENCE, indent=9))


def test_each_line_of_a_styled_text_has_the_style() -> None:
    coloured = Terminal(width=20, has_colors=True)
    assert render_paragraph(coloured, Styled("pods can get the GPUs", "bold")) == [
        "\x1b[1mpods can get the\x1b[0m",
        "\x1b[1mGPUs\x1b[0m",
    ]


def test_the_first_word_has_its_own_style_and_control_characters_are_replaced() -> None:
    coloured = Terminal(has_colors=True)
    (line,) = render_paragraph(coloured, "a\x1b[2Jb", first=Styled("problem", "red"), indent=9)
    assert line == "\x1b[31mproblem\x1b[0m  a?[2Jb"
