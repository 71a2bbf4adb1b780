"""The list of scenarios itself."""

from collections import Counter

from tests.e2e.scenarios import ALL, IN_STAND_INS


def test_every_scenario_has_a_name_of_its_own() -> None:
    assert max(Counter(each.name for each in ALL).values()) == 1


def test_what_stand_ins_cannot_play_says_why_in_a_line() -> None:
    left_out = [each for each in ALL if each not in IN_STAND_INS]
    assert left_out
    for each in left_out:
        assert each.real_only
        assert "\n" not in each.real_only
