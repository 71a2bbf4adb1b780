"""The list of scenarios."""

from collections import Counter

from tests.e2e.scenarios import ALL, SIMULATED


def test_every_scenario_has_a_unique_name() -> None:
    assert max(Counter(each.name for each in ALL).values()) == 1


def test_a_scenario_that_needs_a_real_cluster_has_a_one_line_reason() -> None:
    real_only = [each for each in ALL if each not in SIMULATED]
    assert real_only
    for each in real_only:
        assert each.real_only
        assert "\n" not in each.real_only
