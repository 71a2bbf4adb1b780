"""The machine type, from DMI."""

from gfd.labelers.api import NVIDIA, LabelOptions
from node_core.domain.inventory import Inventory
from node_core.domain.labels import Labels, sanitize


def labels(_: Inventory, options: LabelOptions) -> Labels:
    return {f"{NVIDIA}/gpu.machine": sanitize(options.machine) or "unknown"}
