"""One module for each topic. Labelers are pure functions from an Inventory to labels. `ALL` is in order of precedence: later ones win.

GPUs that could not be read (`Inventory.faults`) are not counted, because their model is unknown. If no GPU can be read, only the
timestamp is returned; the caller decides from `Inventory.faults` what to publish. `vgpu.labels` is not in `ALL`, because vGPUs are
read from PCI and are not in the inventory.
"""

from gfd.labelers import (
    capable,
    fabric,
    gpu,
    machine,
    mig,
    mode,
    models,
    simulated,
    timestamp,
    topology,
    versions,
    vgpu,
)
from gfd.labelers.api import Labeler, LabelOptions, MigStrategy
from gpu_core.domain.inventory import Inventory
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import Labels

__all__ = ["ALL", "DECLARED", "LabelOptions", "Labeler", "MigStrategy", "labels"]

WITHOUT_GPUS: tuple[Labeler, ...] = (timestamp.labels,)
ALL: tuple[Labeler, ...] = (
    *WITHOUT_GPUS,
    machine.labels,
    versions.labels,
    capable.labels,
    gpu.labels,
    mig.labels,
    models.labels,
    mode.labels,
    fabric.labels,
    topology.labels,
)
DECLARED: tuple[LabelDeclaration, ...] = (
    *timestamp.DECLARED,
    *machine.DECLARED,
    *versions.DECLARED,
    *capable.DECLARED,
    *gpu.DECLARED,
    *mig.DECLARED,
    *models.DECLARED,
    *mode.DECLARED,
    *fabric.DECLARED,
    *topology.DECLARED,
    *vgpu.DECLARED,
    *simulated.DECLARED,
)
"""All labels of gfd, in the order of the documentation."""


def labels(inventory: Inventory, options: LabelOptions) -> Labels:
    """Returns all labels of a node, sorted by key. All labels are valid in Kubernetes."""
    labelers = ALL if inventory.gpus else WITHOUT_GPUS
    result = {key: value for labeler in labelers for key, value in labeler(inventory, options).items()}
    return dict(sorted(result.items()))
