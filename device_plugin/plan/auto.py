"""MIG strategy `auto`: the value of the Node label that gfd or an administrator sets. PURE."""

from typing import get_args

from device_plugin.plan.options import MigStrategy
from node_core.domain.labels import Labels

LABEL = "nvidia.com/mig.strategy"
STRATEGIES: tuple[MigStrategy, ...] = get_args(MigStrategy)


def select_mig_strategy(labels: Labels, before: MigStrategy) -> tuple[MigStrategy, str | None]:
    """Returns the strategy of the label, `none` without the label. If the label is invalid, returns `before` and the problem."""
    value = labels.get(LABEL, "none")
    strategy = next((each for each in STRATEGIES if each == value), None)
    if strategy is None:
        return before, f"{LABEL} is {value!r}: set it to one of {', '.join(STRATEGIES)}"
    return strategy, None
