"""The label of the NVLink clique. GPUs of one clique, on any node, are connected by NVLink."""

from gfd.labelers.api import LabelOptions
from gfd.labelers.resource import GPU
from gpu_core.domain.inventory import Inventory
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import Labels

DECLARED = (
    LabelDeclaration(
        key=f"{GPU}.clique",
        value="`<cluster UUID>.<clique>` of the NVLink fabric",
        source="nvmlDeviceGetGpuFabricInfo",
        presence="with GPUs attached to one clique",
    ),
)


def labels(inventory: Inventory, _: LabelOptions) -> Labels:
    """Returns no label without a fabric, or if the GPUs belong to different cliques."""
    cliques = {f"{gpu.fabric.cluster_uuid}.{gpu.fabric.clique}" for gpu in inventory.gpus if gpu.fabric}
    return {f"{GPU}.clique": cliques.pop()} if len(cliques) == 1 else {}
