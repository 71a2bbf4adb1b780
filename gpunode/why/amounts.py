"""Amounts of resources as text for people. PURE."""

from collections.abc import Iterable, Mapping
from fractions import Fraction

from node_core.scheduling.requests import PODS

_BYTES = ("memory", "ephemeral-storage", "hugepages-")
_UNITS = (("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10))


def render_amount(resource: str, amount: Fraction) -> str:
    """Returns `3`, `0.5` or `64Gi`, rounded to two decimals."""
    unit, size = "", 1
    if resource.startswith(_BYTES):
        unit, size = next(((unit, size) for unit, size in _UNITS if abs(amount) >= size), ("", 1))
    return f"{float(round(amount / size, 2)):.10g}{unit}"


def render_range(resource: str, amounts: Iterable[Fraction]) -> str:
    """Returns `3`, or `0 to 3` for different amounts."""
    ordered = sorted(amounts)
    low, high = render_amount(resource, ordered[0]), render_amount(resource, ordered[-1])
    return low if low == high else f"{low} to {high}"


def render_requests(requests: Mapping[str, Fraction]) -> dict[str, str]:
    """Returns resource name -> text, the extended resources first. The amount of `pods` is always 1 and is omitted."""
    names = sorted((name for name, amount in requests.items() if name != PODS and amount), key=_order)
    return {name: render_amount(name, requests[name]) for name in names}


def count(number: int, noun: str) -> str:
    """Returns `1 node` or `3 nodes`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def render_names(names: Iterable[str], most: int) -> str:
    """Returns `a, b and 3 more`. most: the number of names that are written."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def _order(resource: str) -> tuple[bool, str]:
    return "/" not in resource, resource
