"""Labels for the ways of sharing a GPU that this node supports."""

from gfd.labelers.advertised import effective_sharing
from gfd.labelers.api import NVIDIA, LabelOptions
from gpu_core.domain.inventory import Inventory
from gpu_core.domain.sharing import SharingStrategy
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import Labels

DECLARED = (
    LabelDeclaration(
        key=f"{NVIDIA}/mig.capable",
        value="`true` if a GPU supports MIG, else `false`",
        source="nvmlDeviceGetMigMode",
        presence="with a GPU",
    ),
    LabelDeclaration(
        key=f"{NVIDIA}/mps.capable",
        value="`true` if the config file shares GPUs by MPS and no GPU is in MIG mode, else `false`",
        source="`sharing` of the config file, nvmlDeviceGetMigMode",
        presence="with a GPU",
    ),
)


def labels(inventory: Inventory, options: LabelOptions) -> Labels:
    mig = any(gpu.mig_capable for gpu in inventory.gpus)
    sharing = effective_sharing(inventory, options)
    mps = sharing is not None and sharing.strategy is SharingStrategy.MPS
    return {f"{NVIDIA}/mig.capable": str(mig).lower(), f"{NVIDIA}/mps.capable": str(mps).lower()}
