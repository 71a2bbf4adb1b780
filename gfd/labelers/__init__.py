"""One file per concern, all pure: Inventory in, labels out. Order in `ALL` is precedence: a later labeler wins.

GPUs that could not be read (`Inventory.faults`) are in no count: their model is not known. Without one readable GPU only the
timestamp is left; whether that may be published is for the caller to decide from `Inventory.faults`. Labels of vGPUs come from PCI and
not from the inventory; `vgpu.labels` stands for itself.
"""

from gfd.labelers import capable, fabric, gpu, machine, mig, mode, models, timestamp, topology, versions, vgpu
from gfd.labelers.api import Declared, Labeler, LabelOptions, MigStrategy
from node_core.domain.inventory import Inventory
from node_core.domain.labels import Labels

__all__ = ["ALL", "DECLARED", "Declared", "LabelOptions", "Labeler", "MigStrategy", "labels"]

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
DECLARED: tuple[Declared, ...] = (
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
)
"""Every label that gfd can give, in the order of the documents."""


def labels(inventory: Inventory, options: LabelOptions) -> Labels:
    """All labels of a node, sorted by key, every one of them a label that Kubernetes takes."""
    labelers = ALL if inventory.gpus else WITHOUT_GPUS
    found = {key: value for labeler in labelers for key, value in labeler(inventory, options).items()}
    return dict(sorted(found.items()))
