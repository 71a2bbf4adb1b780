"""When the labels were made, in seconds since 1970."""

from gfd.labelers.api import NVIDIA, Declared, LabelOptions
from node_core.domain.inventory import Inventory
from node_core.domain.labels import Labels

DECLARED = (
    Declared(
        key=f"{NVIDIA}/gfd.timestamp",
        value="seconds since 1970 of the last time that another label changed",
        source="the clock",
        presence="always, but for `--no-timestamp`",
    ),
)


def labels(_: Inventory, options: LabelOptions) -> Labels:
    if options.timestamp is None:
        return {}
    return {f"{NVIDIA}/gfd.timestamp": str(options.timestamp)}
