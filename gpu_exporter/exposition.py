"""The text formats of Prometheus. PURE.

Sources: Prometheus documentation, Exposition formats; OpenMetrics 1.0.
"""

from collections.abc import Iterable, Iterator, Mapping

from gpu_exporter.counters_file import FieldType

Samples = Iterator[tuple[str, float]]
"""Rendered labels, and the value."""

MAX_VALUE = 1024
"""Characters of a label value. Longer ones are cut."""
_ESCAPES_OF_HELP = {"\\": "\\\\", "\n": "\\n"}
_ESCAPES = {**_ESCAPES_OF_HELP, '"': '\\"'}
_TOTAL = "_total"


class Exposition:
    """Collects families and their samples, in the order of the output. is_openmetrics: otherwise the older text format."""

    def __init__(self, *, is_openmetrics: bool) -> None:
        self._is_openmetrics = is_openmetrics
        self._lines: list[str] = []

    def add(self, name: str, kind: FieldType, help_text: str, samples: Iterable[tuple[str, float]]) -> None:
        """Adds a family. samples: rendered labels and values. A family without samples is omitted.

        OpenMetrics requires the suffix _total for counters. A counter without the suffix has no type there: its name must not depend on
        the format.
        """
        lines = [f"{name}{{{labels}}} {render_number(value)}" for labels, value in samples]
        if not lines:
            return
        of_family, shown = name, str(kind)
        if self._is_openmetrics and kind is FieldType.COUNTER:
            of_family, shown = (name.removesuffix(_TOTAL), "counter") if name.endswith(_TOTAL) else (name, "unknown")
        described = escape_help(help_text, is_openmetrics=self._is_openmetrics)
        self._lines += (f"# HELP {of_family} {described}", f"# TYPE {of_family} {shown}", *lines)

    def render(self) -> bytes:
        end = ("# EOF",) if self._is_openmetrics else ()
        return "".join(f"{line}\n" for line in (*self._lines, *end)).encode()


def render_labels(labels: Iterable[tuple[str, str]]) -> str:
    return ",".join([f'{name}="{escape_value(value)}"' for name, value in labels])


def join_labels(rendered: str, more: Iterable[tuple[str, str]]) -> str:
    """Appends labels to rendered ones."""
    text = render_labels(more)
    return f"{rendered},{text}" if text else rendered


def escape_value(value: str) -> str:
    """Escapes a label value. Replaces control characters, which could act on a terminal, and cuts values that are too long."""
    return value if _is_plain(value) else _escape(value, _ESCAPES)


def escape_help(text: str, *, is_openmetrics: bool) -> str:
    """Escapes a help text. In the older format an escaped quote is an error."""
    return text if _is_plain(text) else _escape(text, _ESCAPES if is_openmetrics else _ESCAPES_OF_HELP)


def _is_plain(text: str) -> bool:
    return len(text) <= MAX_VALUE and text.isprintable() and "\\" not in text and '"' not in text


def _escape(text: str, escapes: Mapping[str, str]) -> str:
    return "".join(escapes.get(letter, letter if letter.isprintable() else "?") for letter in text[:MAX_VALUE])


def render_number(value: float) -> str:
    """Renders a number in the shortest form. Large counters have all digits."""
    return str(int(value)) if value == int(value) else f"{value:.15g}"
