"""What a labeler is, what it is told beside the inventory, and how its labels are declared."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from node_core.domain.inventory import Inventory, PciAddress
from node_core.domain.labels import Labels
from node_core.domain.resources import ResourceNames
from node_core.domain.sharing import Sharing

MigStrategy = Literal["none", "single", "mixed"]

NVIDIA = "nvidia.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelOptions:
    """machine: the machine type as the host gives it; None when it could not be read.

    timestamp: seconds since 1970, or None to leave the label out. sharing: what the configuration shares, or None.
    names: by which resources are advertised, as sharing calls them.
    pci_classes: the class code of each GPU that PCI knows, hex digits without 0x (`030200`); None when PCI could not be read.
    """

    mig_strategy: MigStrategy = "none"
    machine: str | None
    timestamp: int | None = None
    sharing: Sharing | None = None
    names: ResourceNames = field(default_factory=ResourceNames)
    pci_classes: Mapping[PciAddress, str] | None = None


Labeler = Callable[[Inventory, LabelOptions], Labels]
"""The labels of one concern; none where it has nothing to say. Called with at least one GPU, but for the timestamp."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A label for people to read about. key: with `<...>` for what differs. value: what it says, with its unit. source: where from.

    presence: the nodes that have it.
    """

    key: str
    value: str
    source: str
    presence: str

    def matches(self, key: str) -> bool:
        """Whether a label's key is of this pattern."""
        parts = re.split(r"<[^>]*>", self.key)
        return re.fullmatch(".+".join(map(re.escape, parts)), key) is not None
