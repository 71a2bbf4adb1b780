"""Which ways of sharing a GPU this node can offer."""

from gfd.labelers.api import NVIDIA, LabelOptions
from node_core.domain.inventory import Inventory
from node_core.domain.labels import Labels


def labels(inventory: Inventory, _: LabelOptions) -> Labels:
    """MPS is offered only where the configuration shares GPUs by it, which none does yet."""
    mig = any(gpu.mig_capable for gpu in inventory.gpus)
    return {f"{NVIDIA}/mig.capable": "true" if mig else "false", f"{NVIDIA}/mps.capable": "false"}
