"""Tables as kubectl prints them: one line an object, columns separated by spaces.

In a terminal that is too narrow, the table omits the columns of low priority, and then shows each object as lines of names and values.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click

from gpunode.output.paragraph import render_paragraph
from gpunode.output.terminal import UNLIMITED, Cell, Styled, Terminal, text_of

GAP = "   "
EMPTY = "-"
CUT = "..."


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """priority: columns with 0 are always shown; those with the highest number are omitted first. is_wide: only with `-o wide`.

    min_width: of a last column with sentences, which are cut to the rest of the line, but not to fewer characters. max_width: of the cells
    in lines, which are cut to this number of characters. None: cells are not cut.
    """

    header: str
    priority: int = 0
    is_wide: bool = False
    min_width: int | None = None
    max_width: int | None = None


Row = Sequence[Cell]


class TableWriter:
    """Prints pages of one table. Columns only become wider from page to page, because earlier pages are already printed."""

    def __init__(
        self, terminal: Terminal, columns: Sequence[Column], *, is_wide: bool = False, has_header: bool = True
    ) -> None:
        self._terminal = terminal
        self._columns = columns
        self._is_wide = is_wide
        self._has_header = has_header
        self._widths = [len(each.header) for each in columns]
        self._shown: tuple[int, ...] | None = None

    def write(self, rows: Sequence[Row]) -> None:
        """Prints rows."""
        if lines := self.render(rows):
            click.echo("\n".join(lines), color=self._terminal.has_colors)

    def render(self, rows: Sequence[Row]) -> list[str]:
        """Returns the lines of the next page. Each row has a cell for each column, also for columns that are not shown.

        Empty cells are shown as `-`.
        """
        if not rows:
            return []
        is_first = self._shown is None
        self._widths = [
            max(width, *(min(len(text_of(row[index])), self._columns[index].max_width or UNLIMITED) for row in rows))
            for index, width in enumerate(self._widths)
        ]
        if self._shown is None:
            self._shown = self._select_columns()
        has_blocks = not self._is_wide and self._is_too_wide(self._shown)
        return list(self._blocks(rows) if has_blocks else self._lines(rows, is_first))

    def _select_columns(self) -> tuple[int, ...]:
        shown = [index for index, each in enumerate(self._columns) if self._is_wide or not each.is_wide]
        while not self._is_wide and self._is_too_wide(shown):
            last = max(shown, key=lambda index: (self._columns[index].priority, index))
            if self._columns[last].priority == 0:
                break
            shown.remove(last)
        return tuple(shown)

    def _is_too_wide(self, shown: Sequence[int]) -> bool:
        widths = (min(self._widths[index], self._columns[index].min_width or UNLIMITED) for index in shown)
        return sum(widths) + len(GAP) * (len(shown) - 1) > self._terminal.width

    def _lines(self, rows: Sequence[Row], has_header: bool) -> Iterator[str]:
        if has_header and self._has_header:
            yield self._line([Styled(each.header, "bold") for each in self._columns])
        yield from map(self._line, rows)

    def _line(self, row: Row) -> str:
        *before, last = self._shown or ()
        cut = {index: _cut(row[index], self._columns[index].max_width or UNLIMITED) for index in before}
        cells = [self._cell(cell) + " " * (self._widths[index] - len(_text(cell))) for index, cell in cut.items()]
        return GAP.join([*cells, self._cell(_cut(row[last], self._room(last)))])

    def _room(self, last: int) -> int:
        """Returns the number of characters for the last column."""
        minimum = self._columns[last].min_width
        if minimum is None or self._is_wide:
            return UNLIMITED
        used = sum(self._widths[index] + len(GAP) for index in self._shown or () if index != last)
        return max(self._terminal.width - used, minimum)

    def _blocks(self, rows: Sequence[Row]) -> Iterator[str]:
        """Yields each row as lines: the first cell, and below it the names and values of the others."""
        first, *others = self._shown or ()
        names = {index: Styled(f"  {self._columns[index].header.lower()}", "bright_black") for index in others}
        for row in rows:
            yield self._terminal.render(Styled(_text(row[first]), "bold"))
            for index, name in names.items():
                value = row[index] if text_of(row[index]) else EMPTY
                yield from render_paragraph(self._terminal, value, first=name, indent=len(name.text) + 1)

    def _cell(self, cell: Cell) -> str:
        return self._terminal.render(cell) if text_of(cell) else EMPTY


def _cut(cell: Cell, room: int) -> Cell:
    """Returns the part of a text that fits into the room, in characters."""
    text = text_of(cell)
    if len(text) <= room:
        return cell
    cut = f"{text[: room - len(CUT)]}{CUT}"
    return Styled(cut, cell.style) if isinstance(cell, Styled) else cut


def _text(cell: Cell) -> str:
    return text_of(cell) or EMPTY
