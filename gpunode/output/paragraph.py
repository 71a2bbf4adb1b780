"""Sentences for people: wrapped to the width of the terminal, with a hanging indent. A pipe gets one line for each sentence."""

import textwrap

from gpunode.output.terminal import UNLIMITED, Cell, Styled, Terminal, text_of

NARROWEST = 20
"""Texts are not wrapped to less than this number of characters."""


def render_paragraph(terminal: Terminal, text: Cell, *, first: Cell = "", indent: int = 0) -> list[str]:
    """Returns the lines of a text. first: a word before the text, in the first `indent` characters. Words are not cut, to be copied."""
    start = terminal.render(first) + " " * (indent - len(text_of(first)))
    width = max(terminal.width - indent, NARROWEST)
    lines = [text_of(text)]
    if terminal.width < UNLIMITED:
        lines = textwrap.wrap(lines[0], width, break_long_words=False, break_on_hyphens=False) or [""]
    styled = [terminal.render(Styled(line, text.style) if isinstance(text, Styled) else line) for line in lines]
    return [f"{start}{styled[0]}", *(" " * indent + line for line in styled[1:])]
