"""The changes that `make bench` measures have goals."""

from benchmarks.figures import NUMBERS
from benchmarks.reaction import EVENTS


def test_each_change_has_a_goal_of_half_a_second_at_the_99th_percentile() -> None:
    """The Node does not show the gate in a label."""
    keys = {f"{event} {where}" for event in EVENTS for where in ("kubelet", "Node")} - {"gate Node"}
    assert {key for key in keys if NUMBERS[key].worst and NUMBERS[key].goal == 0.5} == keys
