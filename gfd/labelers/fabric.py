"""The NVLink clique that all attached GPUs of this node belong to: GPUs of one clique, on any node, reach each other by NVLink."""

from gfd.labelers.api import Declared, LabelOptions
from gfd.labelers.resource import GPU
from node_core.domain.inventory import Inventory
from node_core.domain.labels import Labels

DECLARED = (
    Declared(
        key=f"{GPU}.clique",
        value="`<cluster UUID>.<clique>` of the NVLink fabric",
        source="nvmlDeviceGetGpuFabricInfo",
        presence="with GPUs attached to one clique",
    ),
)


def labels(inventory: Inventory, _: LabelOptions) -> Labels:
    """Nothing without a fabric, and nothing where the GPUs belong to different cliques: one label cannot be true of all."""
    cliques = {f"{gpu.fabric.cluster_uuid}.{gpu.fabric.clique}" for gpu in inventory.gpus if gpu.fabric}
    return {f"{GPU}.clique": cliques.pop()} if len(cliques) == 1 else {}
