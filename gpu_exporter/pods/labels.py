"""Selects the labels of pods that are exported, and their names in Prometheus. PURE."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

_INVALID = re.compile("[^a-zA-Z0-9_]")


class Pattern(Protocol):
    """A pattern of RE2."""

    def search(self, text: str) -> Any: ...


def parse_label_pattern(text: str) -> Pattern:
    """Compiles a regular expression with RE2, whose searches take linear time. Raises ValueError."""
    import re2  # noqa: PLC0415 - saves memory on nodes without patterns

    options = re2.Options()
    options.log_errors = False
    try:
        pattern: Pattern = re2.compile(text, options)
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise ValueError(f"{text!r} is not a regular expression: {reason}") from error
    return pattern


def select_labels(
    labels: Mapping[str, str], allowed: Sequence[Pattern], reserved: Collection[str] = ()
) -> dict[str, str]:
    """Returns the labels whose key matches at least one pattern, by their names in Prometheus: `app_kubernetes_io_name`.

    allowed: no pattern allows all labels. reserved: names that the series have already; they are never replaced. Of two labels with the
    same name, the one whose key is first in the alphabet counts.
    """
    found: dict[str, str] = {}
    for key, value in sorted(labels.items()):
        name = render_label_name(key)
        if name not in reserved and (not allowed or any(pattern.search(key) for pattern in allowed)):
            found.setdefault(name, value)
    return found


def render_label_name(key: str) -> str:
    """Replaces the characters that a label of Prometheus cannot have. Prometheus reserves names that start with `__`."""
    name = _INVALID.sub("_", key)
    return f"_{name}" if not name or name[0].isdigit() else name
