"""The label of the mode, by PCI class: 3D controllers only compute, VGA controllers also drive displays."""

from gfd.labelers.api import LabelOptions
from gfd.labelers.resource import GPU
from gpu_core.domain.inventory import Inventory
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import Labels

KEY = f"{GPU}.mode"
MODES = {"0302": "compute", "0300": "graphics"}
DECLARED = (
    LabelDeclaration(
        key=KEY,
        value="`compute` if all GPUs are 3D controllers, `graphics` if all are VGA controllers, else `unknown`",
        source="/sys/bus/pci/devices/*/class",
        presence="with a GPU",
    ),
)


def labels(inventory: Inventory, options: LabelOptions) -> Labels:
    """Returns no label if PCI could not be read. The mode of a GPU that is not on the PCI bus is unknown."""
    classes = options.pci_classes
    if classes is None:
        return {}
    modes = {MODES.get(classes.get(gpu.address, "")[:4]) if gpu.address else None for gpu in inventory.gpus}
    return {KEY: (modes.pop() if len(modes) == 1 else None) or "unknown"}
