"""MIG strategy `auto`."""

import pytest

from device_plugin.plan.auto import LABEL, select_mig_strategy
from device_plugin.plan.options import MigStrategy


@pytest.mark.parametrize(
    ("labels", "strategy"),
    [({}, "none"), ({LABEL: "none"}, "none"), ({LABEL: "single"}, "single"), ({LABEL: "mixed"}, "mixed")],
)
def test_the_label_selects_the_strategy_and_none_is_the_default(labels: dict[str, str], strategy: MigStrategy) -> None:
    assert select_mig_strategy(labels, "single") == (strategy, None)


@pytest.mark.parametrize("value", ["", "auto", "Single", "x" * 63])
def test_an_invalid_label_does_not_change_the_strategy(value: str) -> None:
    strategy, problem = select_mig_strategy({LABEL: value}, "single")
    assert strategy == "single"
    assert problem == f"nvidia.com/mig.strategy is {value!r}: set it to one of none, single, mixed"
