"""The types of labelers, and their options."""

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from gpu_core.domain.device_rules import DeviceRules
from gpu_core.domain.inventory import Inventory
from gpu_core.domain.sharing import Sharing
from node_core.domain.labels import Labels
from node_core.domain.pci import PciAddress

MigStrategy = Literal["none", "single", "mixed"]

NVIDIA = "nvidia.com"


class LabelOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The input of labelers, in addition to the inventory.

    machine: the machine type of the host; None if it could not be read. timestamp: seconds since 1970; None for no label.
    sharing: the shared resources of the config file. rules: excluded devices, pools, and the resource names before sharing renames them.
    pci_classes: the class code of each GPU on the PCI bus, hex digits without 0x (`030200`); None if PCI could not be read.
    """

    mig_strategy: MigStrategy = "none"
    machine: str | None
    timestamp: int | None = None
    sharing: Sharing | None = None
    rules: DeviceRules = msgspec.field(default_factory=DeviceRules)
    pci_classes: Mapping[PciAddress, str] | None = None


Labeler = Callable[[Inventory, LabelOptions], Labels]
"""Returns the labels of one topic. The inventory has at least one GPU, except for the timestamp."""
