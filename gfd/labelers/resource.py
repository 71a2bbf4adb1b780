"""The labels that every resource has, whether a whole GPU or a MIG profile: product, count, replicas, sharing strategy.

This is the one place where sharing enters: replicas, the strategy and the product's `-SHARED` follow from it.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from gfd.labelers.api import NVIDIA, Declared, LabelOptions
from node_core.domain.inventory import ComputeCapability, Inventory
from node_core.domain.labels import MAX_NAME, sanitize
from node_core.domain.sharing import Sharing, mps_hindered


class Ordered(Protocol):
    def __lt__(self, other: Any, /) -> bool: ...


Value = TypeVar("Value", bound=Ordered)

GPU = f"{NVIDIA}/gpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """How each device of a resource is given out. replicas: how often, 0 where it is not. suffixes: of the product's name."""

    replicas: int
    strategy: str = "none"
    suffixes: tuple[str, ...] = ()


UNSHARED = Offer(replicas=1)
NOT_OFFERED = Offer(replicas=0)
INVALID = Offer(replicas=0, strategy="")


def effective_sharing(inventory: Inventory, options: LabelOptions) -> Sharing | None:
    """What is shared on this node; nothing where MPS is hindered, as then no GPU is given out more than once."""
    return None if mps_hindered(inventory, options.sharing) else options.sharing


def offer(sharing: Sharing | None, resource: str, compute: ComputeCapability | None = None) -> Offer:
    """resource: its name before any renaming. compute: of its GPUs, as a way of sharing may be bounded by it.

    A renamed resource is told apart by its name, so its product stays as it is.
    """
    shared = sharing.of(resource) if sharing else None
    if sharing is None or shared is None:
        return UNSHARED
    return Offer(
        replicas=sharing.possible_replicas(shared.replicas, compute),
        strategy=sharing.strategy.value,
        suffixes=() if shared.renamed else ("SHARED",),
    )


def resource_labels(resource: str, model: str, *suffixes: str, count: int, offer: Offer) -> dict[str, str]:
    """resource: the label prefix. suffixes: of the product. count: GPUs or MIG devices, not multiplied by replicas."""
    return {
        f"{resource}.product": product_name(model, *suffixes, *offer.suffixes),
        f"{resource}.count": str(count),
        f"{resource}.replicas": str(offer.replicas),
        f"{resource}.sharing-strategy": offer.strategy,
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


def declare_resource(resource: str, presence: str) -> tuple[Declared, ...]:
    """The declarations of `resource_labels` under a prefix."""
    config = "`sharing` of the config file"
    return (
        Declared(
            key=f"{resource}.product",
            value="the model; then `-MIG-<profile>`; then `-SHARED` if shared and not renamed",
            source="nvmlDeviceGetName",
            presence=presence,
        ),
        Declared(
            key=f"{resource}.count",
            value="GPUs or MIG devices, not multiplied by replicas",
            source="NVML",
            presence=presence,
        ),
        Declared(
            key=f"{resource}.replicas",
            value="how often each is given out: 1 unshared, 0 not at all",
            source=config,
            presence=presence,
        ),
        Declared(
            key=f"{resource}.sharing-strategy",
            value="`none`, `time-slicing` or `mps`; empty where the MIG layout is invalid",
            source=config,
            presence=presence,
        ),
    )
