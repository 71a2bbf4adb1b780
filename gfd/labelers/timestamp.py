"""The label of the time when another label last changed."""

from gfd.labelers.api import NVIDIA, LabelOptions
from gpu_core.domain.inventory import Inventory
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import Labels

DECLARED = (
    LabelDeclaration(
        key=f"{NVIDIA}/gfd.timestamp",
        value="time when another label last changed, in seconds since 1970",
        source="the clock",
        presence="always, except with `--no-timestamp`",
    ),
)


def labels(_: Inventory, options: LabelOptions) -> Labels:
    if options.timestamp is None:
        return {}
    return {f"{NVIDIA}/gfd.timestamp": str(options.timestamp)}
