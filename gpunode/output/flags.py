"""Flags that a verb passes on to the command line of an agent."""

from collections.abc import Iterable, Mapping
from typing import Any


def render_flags(values: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Returns `--host-root=/host` for each of the names that has a value. PURE."""
    return [f"--{name.replace('_', '-')}={values[name]}" for name in names if values[name] is not None]
