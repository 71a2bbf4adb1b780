"""What changed in a table of nodes since it was last shown. PURE."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gpunode.cluster.fleet import GpuNode
from gpunode.nodes.columns import COLUMNS, row_of
from gpunode.output.table import EMPTY, Row
from gpunode.output.terminal import Styled, text_of

HIGHLIGHT_SECONDS = 5.0
"""A changed value is highlighted for this time."""
REMEMBERED = 3
"""Changes of nodes that are described."""

_SHOWN = [index for index, column in enumerate(COLUMNS) if index and not column.is_wide]
"""The columns whose changes are described: other columns have the same facts in other words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """at: Unix seconds. text: for example `FREE 6 -> 5, ALLOCATED 2 -> 3`."""

    at: float
    name: str
    text: str


class ChangeLog:
    """Compares each state with the one before. recent: the last changes, the newest first."""

    def __init__(self) -> None:
        self.recent: deque[Change] = deque(maxlen=REMEMBERED)
        self._nodes: Mapping[str, GpuNode] | None = None
        self._changed_at: dict[tuple[str, int], float] = {}

    def update(self, nodes: Mapping[str, GpuNode], now: float) -> list[str]:
        """Returns the names of the nodes that are new, that changed, or that are missing; all at the first time. now: Unix seconds."""
        self._changed_at = {key: at for key, at in self._changed_at.items() if now - at < HIGHLIGHT_SECONDS}
        if nodes is self._nodes:
            return []
        before, self._nodes = self._nodes, nodes
        return list(nodes) if before is None else list(self._compare(before, nodes, now))

    def rows(self, names: list[str]) -> list[Row]:
        """Returns the rows of the last state. Values that have just changed are highlighted."""
        return [tuple(self._highlight(name)) for name in names]

    def _compare(self, before: Mapping[str, GpuNode], after: Mapping[str, GpuNode], now: float) -> Iterator[str]:
        for name in [*after, *(name for name in before if name not in after)]:
            if text := self._describe(name, before.get(name), after.get(name), now):
                self.recent.appendleft(Change(at=now, name=name, text=text))
                yield name

    def _describe(self, name: str, before: GpuNode | None, after: GpuNode | None, now: float) -> str:
        if before is None or after is None:
            return "is new" if before is None else "is no longer shown"
        if before == after:
            return ""
        parts, rows = [], (row_of(before), row_of(after))
        for index in _SHOWN:
            old, new = (text_of(row[index]) for row in rows)
            if old != new:
                self._changed_at[name, index] = now
                parts.append(f"{COLUMNS[index].header} {old or EMPTY} -> {new or EMPTY}")
        return ", ".join(parts)

    def _highlight(self, name: str) -> Iterator[Styled | str]:
        for index, cell in enumerate(row_of((self._nodes or {})[name])):
            yield Styled(text_of(cell), "yellow") if (name, index) in self._changed_at else cell
