"""What the boards are for, by their PCI class: 3D controllers compute, VGA controllers also drive displays."""

from gfd.labelers.api import Declared, LabelOptions
from gfd.labelers.resource import GPU
from node_core.domain.inventory import Inventory
from node_core.domain.labels import Labels

KEY = f"{GPU}.mode"
MODES = {"0302": "compute", "0300": "graphics"}
DECLARED = (
    Declared(
        key=KEY,
        value="`compute` if all GPUs are 3D controllers, `graphics` if all are VGA controllers, else `unknown`",
        source="PCI class",
        presence="with a GPU",
    ),
)


def labels(inventory: Inventory, options: LabelOptions) -> Labels:
    """Nothing where PCI could not be read; a GPU that PCI does not know has no known mode."""
    classes = options.pci_classes
    if classes is None:
        return {}
    modes = {MODES.get(classes.get(gpu.address, "")[:4]) if gpu.address else None for gpu in inventory.gpus}
    return {KEY: (modes.pop() if len(modes) == 1 else None) or "unknown"}
