"""Tables in pipes, and in wide and narrow terminals."""

import pytest

from gpunode.output.table import Column, Row, TableWriter
from gpunode.output.terminal import Styled, Terminal

COLUMNS = (
    Column(header="NAME"),
    Column(header="MODEL", priority=1),
    Column(header="FREE"),
    Column(header="DRIVER", priority=2),
    Column(header="UUID", is_wide=True),
)
ROW = ("node-1", "NVIDIA H100", Styled("8/8", "green"), "570.86.15", "GPU-1")


def render(*pages: list[Row], width: int = 1000, is_wide: bool = False, has_header: bool = True) -> str:
    writer = TableWriter(Terminal(width=width), COLUMNS, is_wide=is_wide, has_header=has_header)
    return "".join(f"{line}\n" for page in pages for line in writer.render(page))


def test_columns_are_as_wide_as_their_longest_cell() -> None:
    other = ("a", "T4", "0/1", "", "GPU-2")
    assert render([ROW, other]).splitlines() == [
        "NAME     MODEL         FREE   DRIVER",
        "node-1   NVIDIA H100   8/8    570.86.15",
        "a        T4            0/1    -",
    ]


def test_wide_output_has_all_columns() -> None:
    assert render([ROW], is_wide=True, width=20).splitlines()[0].split() == ["NAME", "MODEL", "FREE", "DRIVER", "UUID"]


def test_a_table_without_rows_has_no_header() -> None:
    assert render([]) == ""


def test_a_later_page_has_no_header_and_its_columns_can_only_become_wider() -> None:
    first, second, third = render([ROW], [("longer-name", *ROW[1:])], [ROW]).splitlines()[1:]
    assert first.index("NVIDIA") == 9
    assert second.index("NVIDIA") == third.index("NVIDIA") == 14


@pytest.mark.parametrize(
    ("width", "headers"), [(39, "NAME MODEL FREE DRIVER"), (38, "NAME MODEL FREE"), (26, "NAME FREE")]
)
def test_a_narrow_terminal_omits_the_columns_of_low_priority(width: int, headers: str) -> None:
    assert render([ROW], width=width).splitlines()[0].split() == headers.split()


def test_a_terminal_that_is_too_narrow_for_the_first_columns_shows_one_value_a_line() -> None:
    assert render([ROW], width=12) == "node-1\n  free 8/8\n"


def test_a_long_value_is_cut_in_a_line_and_complete_in_a_narrow_terminal() -> None:
    columns = (Column(header="NAME"), Column(header="VALUE", max_width=12), Column(header="FROM"))
    row = ("a", Styled("one two three four five", "bold"), "default")
    assert TableWriter(Terminal(width=80), columns).render([row]) == [
        "NAME   VALUE          FROM",
        "a      one two t...   default",
    ]
    assert TableWriter(Terminal(width=28), columns).render([row])[1:] == [
        "  value one two three four",
        "        five",
        "  from default",
    ]


def test_control_characters_are_replaced() -> None:
    assert "\x1b" not in render([("a\x1b[2J", "b\n", "c", "d", "e")])


def test_the_header_can_be_omitted() -> None:
    assert render([ROW], has_header=False).count("\n") == 1


def test_styles_do_not_change_the_columns() -> None:
    lines = TableWriter(Terminal(has_colors=True), COLUMNS).render([ROW])
    assert lines[1] == "node-1   NVIDIA H100   \x1b[32m8/8\x1b[0m    570.86.15"


def test_rows_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    writer = TableWriter(Terminal(), COLUMNS)
    writer.write([ROW])
    writer.write([])
    assert capsys.readouterr().out == render([ROW])


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (80, "a      GPU 3 has fallen off the bus"),
        (30, "a      GPU 3 has fallen off..."),
        (17, "a      GPU 3 h..."),
        (16, "a"),
    ],
)
def test_the_last_column_is_cut_to_the_line(width: int, line: str) -> None:
    columns = (Column(header="NAME"), Column(header="PROBLEMS", priority=1, min_width=10))
    writer = TableWriter(Terminal(width=width), columns)
    assert writer.render([("a", Styled("GPU 3 has fallen off the bus", "red"))])[-1] == line


def test_wide_output_is_not_cut() -> None:
    writer = TableWriter(Terminal(width=10), [Column(header="A", min_width=3)], is_wide=True)
    assert writer.render([("0123456789abc",)])[-1] == "0123456789abc"


def test_an_empty_cell_with_a_style_is_shown_as_empty() -> None:
    writer = TableWriter(Terminal(has_colors=True), [Column(header="A")])
    assert writer.render([(Styled("", "red"),)])[-1] == "-"
