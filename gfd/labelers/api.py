"""What a labeler is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from node_core.domain.inventory import Inventory
from node_core.domain.labels import Labels

MigStrategy = Literal["none", "single", "mixed"]

NVIDIA = "nvidia.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelOptions:
    """machine: the machine type as the host gives it. timestamp: seconds since 1970, or None to leave the label out."""

    mig_strategy: MigStrategy = "none"
    machine: str
    timestamp: int | None = None


Labeler = Callable[[Inventory, LabelOptions], Labels]
"""The labels of one concern; none where it has nothing to say. Called with at least one GPU, but for the timestamp."""
