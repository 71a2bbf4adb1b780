"""Labels of a resource, which is all GPUs or one MIG profile: product, count, replicas, sharing strategy."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

from gfd.labelers.advertised import ResourceOffer
from gfd.labelers.api import NVIDIA
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import MAX_NAME, sanitize


class Ordered(Protocol):
    def __lt__(self, other: Any, /) -> bool: ...


Value = TypeVar("Value", bound=Ordered)

GPU = f"{NVIDIA}/gpu"


INVALID_OFFER = ResourceOffer(replicas=0, strategy="")


def resource_labels(resource: str, model: str, *suffixes: str, count: int, offer: ResourceOffer) -> dict[str, str]:
    """resource: the prefix of the labels. suffixes: of the product. count: GPUs or MIG devices, not multiplied by replicas."""
    return {
        f"{resource}.product": product_name(model, *suffixes, *offer.suffixes),
        f"{resource}.count": str(count),
        f"{resource}.replicas": str(offer.replicas),
        f"{resource}.sharing-strategy": offer.strategy,
    }


def product_name(model: str, *suffixes: str) -> str:
    """Returns the sanitised model and the suffixes (`MIG`, `1g.10gb`), joined by `-`.

    If the result is too long for a label value, the model is cut, because the suffixes distinguish the products.
    """
    end = "".join(f"-{sanitize(suffix)}" for suffix in suffixes)
    start = sanitize(model)[: MAX_NAME - len(end)].rstrip("-_.")
    return f"{start}{end}".lstrip("-")


def most_common(values: Iterable[Value | None]) -> Value | None:
    """Returns the most frequent value; the smallest value of several; None if there are no values. The order has no effect."""
    counts = Counter(value for value in values if value is not None)
    most = max(counts.values(), default=0)
    return min((value for value, count in counts.items() if count == most), default=None)


def declare_resource(resource: str, presence: str, *, counted_by: str) -> tuple[LabelDeclaration, ...]:
    """Returns the declarations of the labels that `resource_labels` returns for a prefix. counted_by: the source of the count."""
    config = "`sharing` of the config file"
    return (
        LabelDeclaration(
            key=f"{resource}.product",
            value="the model; with `-MIG-<profile>` for a MIG profile; with `-SHARED` if most of the devices are shared and not renamed",
            source="nvmlDeviceGetName",
            presence=presence,
        ),
        LabelDeclaration(
            key=f"{resource}.count",
            value="GPUs or MIG devices that the config does not exclude (all, if it excludes all), not multiplied by replicas",
            source=counted_by,
            presence=presence,
        ),
        LabelDeclaration(
            key=f"{resource}.replicas",
            value="replicas of most of the devices: 1 without sharing, 0 if they are not advertised",
            source=config,
            presence=presence,
        ),
        LabelDeclaration(
            key=f"{resource}.sharing-strategy",
            value="`none`, `time-slicing` or `mps`; empty if the MIG layout is invalid",
            source=config,
            presence=presence,
        ),
    )
