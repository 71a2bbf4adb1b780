"""Which ways of sharing a GPU this node can offer."""

from gfd.labelers.api import NVIDIA, Declared, LabelOptions
from gfd.labelers.resource import effective_sharing
from node_core.domain.inventory import Inventory
from node_core.domain.labels import Labels
from node_core.domain.sharing import SharingStrategy

DECLARED = (
    Declared(
        key=f"{NVIDIA}/mig.capable",
        value="`true` if some GPU can MIG, else `false`",
        source="nvmlDeviceGetMigMode",
        presence="with a GPU",
    ),
    Declared(
        key=f"{NVIDIA}/mps.capable",
        value="`true` if the config file shares by MPS and no GPU is in MIG mode, else `false`",
        source="`sharing` of the config file, nvmlDeviceGetMigMode",
        presence="with a GPU",
    ),
)


def labels(inventory: Inventory, options: LabelOptions) -> Labels:
    """MPS is offered only where the configuration shares GPUs by it and can."""
    mig = any(gpu.mig_capable for gpu in inventory.gpus)
    sharing = effective_sharing(inventory, options)
    mps = sharing is not None and sharing.strategy is SharingStrategy.MPS
    return {f"{NVIDIA}/mig.capable": _word(mig), f"{NVIDIA}/mps.capable": _word(mps)}


def _word(value: bool) -> str:
    return "true" if value else "false"
