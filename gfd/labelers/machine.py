"""The machine type, from DMI."""

from gfd.labelers.api import NVIDIA, Declared, LabelOptions
from node_core.domain.inventory import Inventory
from node_core.domain.labels import Labels, sanitize

DECLARED = (
    Declared(
        key=f"{NVIDIA}/gpu.machine",
        value="the machine type, or `unknown`",
        source="`--machine-type-file`",
        presence="with a GPU",
    ),
)


def labels(_: Inventory, options: LabelOptions) -> Labels:
    return {f"{NVIDIA}/gpu.machine": sanitize(options.machine) or "unknown"}
