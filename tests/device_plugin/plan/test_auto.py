"""MIG strategy by label."""

import pytest

from device_plugin.plan.auto import LABEL, follow_label
from device_plugin.plan.options import MigStrategy


@pytest.mark.parametrize(
    ("labels", "strategy"),
    [({}, "none"), ({LABEL: "none"}, "none"), ({LABEL: "single"}, "single"), ({LABEL: "mixed"}, "mixed")],
)
def test_the_label_says_which_and_none_without_it(labels: dict[str, str], strategy: MigStrategy) -> None:
    assert follow_label(labels, "single") == (strategy, None)


@pytest.mark.parametrize("value", ["", "auto", "Single", "x" * 63])
def test_a_label_that_makes_no_sense_changes_nothing(value: str) -> None:
    strategy, problem = follow_label({LABEL: value}, "single")
    assert strategy == "single"
    assert problem == f"nvidia.com/mig.strategy is {value!r}: set it to one of none, single, mixed"
