"""The label of the machine type, from DMI."""

from gfd.labelers.api import NVIDIA, LabelOptions
from gpu_core.domain.inventory import Inventory
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import Labels, sanitize

KEY = f"{NVIDIA}/gpu.machine"
DECLARED = (
    LabelDeclaration(
        key=KEY,
        value="the machine type, or `unknown`",
        source="the file of `--machine-type-file`",
        presence="with a GPU",
    ),
)


def labels(_: Inventory, options: LabelOptions) -> Labels:
    """Returns no label if the machine type could not be read."""
    return {} if options.machine is None else {KEY: sanitize(options.machine) or "unknown"}
