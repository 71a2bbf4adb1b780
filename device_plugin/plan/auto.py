"""MIG strategy `auto`: as the Node's label says, which gfd or an administrator sets. PURE."""

from typing import get_args

from device_plugin.plan.options import MigStrategy
from node_core.domain.labels import Labels

LABEL = "nvidia.com/mig.strategy"
STRATEGIES: tuple[MigStrategy, ...] = get_args(MigStrategy)


def follow_label(labels: Labels, before: MigStrategy) -> tuple[MigStrategy, str | None]:
    """The strategy, and what is wrong with the label: then the strategy stays as it was before. Without the label it is none."""
    value = labels.get(LABEL, "none")
    strategy = next((each for each in STRATEGIES if each == value), None)
    if strategy is None:
        return before, f"{LABEL} is {value!r}: set it to one of {', '.join(STRATEGIES)}"
    return strategy, None
