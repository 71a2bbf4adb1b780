"""When the labels were made, in seconds since 1970."""

from gfd.labelers.api import NVIDIA, LabelOptions
from node_core.domain.inventory import Inventory
from node_core.domain.labels import Labels


def labels(_: Inventory, options: LabelOptions) -> Labels:
    if options.timestamp is None:
        return {}
    return {f"{NVIDIA}/gfd.timestamp": str(options.timestamp)}
