"""The labels that every resource has, whether a whole GPU or a MIG profile: product, count, replicas, sharing strategy.

This is the one place where sharing enters: replicas, the strategy and the product's `-SHARED` follow from it.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

from gfd.labelers.api import NVIDIA
from node_core.domain.labels import MAX_NAME, sanitize


class Ordered(Protocol):
    def __lt__(self, other: Any, /) -> bool: ...


Value = TypeVar("Value", bound=Ordered)

GPU = f"{NVIDIA}/gpu"
UNSHARED = "1"
NOT_OFFERED = "0"


def resource_labels(resource: str, product: str, count: int, *, replicas: str = UNSHARED) -> dict[str, str]:
    """resource: the label prefix. count: GPUs or MIG devices, not multiplied by replicas. replicas: `0` where it is not offered."""
    return {
        f"{resource}.product": product,
        f"{resource}.count": str(count),
        f"{resource}.replicas": replicas,
        f"{resource}.sharing-strategy": "none",
    }


def product_name(model: str, *suffixes: str) -> str:
    """The sanitised model and what sets this product apart (`MIG`, `1g.10gb`), joined by `-`.

    The model is cut where the whole would be longer than a label value may be: the end is what tells products apart.
    """
    end = "".join(f"-{sanitize(suffix)}" for suffix in suffixes)
    start = sanitize(model)[: MAX_NAME - len(end)].rstrip("-_.")
    return f"{start}{end}".lstrip("-")


def prevailing(values: Iterable[Value | None]) -> Value | None:
    """The most frequent value, the smallest of several; None when there is none. The same for every order of the values."""
    counts = Counter(value for value in values if value is not None)
    most = max(counts.values(), default=0)
    return min((value for value, count in counts.items() if count == most), default=None)
