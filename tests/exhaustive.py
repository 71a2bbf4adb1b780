"""Divides the tests between `make test`, which runs after each change, and `make exhaustive`, which CI runs as well.

An exhaustive test takes seconds, or is one of many products of the same question. `make test` retains one fast case of each family.
"""

from collections.abc import Collection, Iterable
from typing import Any

import pytest
from hypothesis import settings

PROFILE_EXAMPLES = 100
"""Hypothesis' own default, which `many` is relative to."""


def params(values: Iterable[Any], *, fast: int | Collection[str] = 1, ids: Iterable[str] | None = None) -> list[Any]:
    """Parameters of which only the fast ones run in `make test`: the first few, or those with these ids."""
    values = list(values)
    named = list(ids) if ids is not None else [str(value) for value in values]
    return [
        pytest.param(
            *(value if isinstance(value, tuple) else (value,)),
            id=name,
            marks=() if _is_fast(fast, number, name) else pytest.mark.exhaustive,
        )
        for number, (value, name) in enumerate(zip(values, named, strict=True))
    ]


def many(examples: int) -> settings:
    """Hypothesis settings with so many examples in `make exhaustive`, and with a share of them in `make test`."""
    return settings(max_examples=max(1, examples * settings().max_examples // PROFILE_EXAMPLES))


def _is_fast(fast: int | Collection[str], number: int, name: str) -> bool:
    return number < fast if isinstance(fast, int) else name in fast
