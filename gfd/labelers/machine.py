"""The machine type, from DMI."""

from gfd.labelers.api import NVIDIA, Declared, LabelOptions
from node_core.domain.inventory import Inventory
from node_core.domain.labels import Labels, sanitize

KEY = f"{NVIDIA}/gpu.machine"
DECLARED = (
    Declared(
        key=KEY,
        value="the machine type, or `unknown`",
        source="`--machine-type-file`",
        presence="with a GPU",
    ),
)


def labels(_: Inventory, options: LabelOptions) -> Labels:
    """Nothing where it could not be read."""
    return {} if options.machine is None else {KEY: sanitize(options.machine) or "unknown"}
