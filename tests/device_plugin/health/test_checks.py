"""DP_DISABLE_HEALTHCHECKS and DP_ENABLE_HEALTHCHECKS."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_plugin.health.checks import parse_checks


@pytest.mark.parametrize(
    ("disable", "enable", "kinds", "polled"),
    [
        pytest.param("", "", {48: "reset", 31: "application"}, True, id="nothing-said"),
        pytest.param("48, 79", "", {48: "ignore", 79: "ignore", 95: "reset"}, True, id="some-disabled"),
        pytest.param("xids", "", {48: "ignore", 999: "ignore"}, True, id="xids-disabled"),
        pytest.param(" ALL ", "", {48: "ignore"}, False, id="all-disabled"),
        pytest.param("all", "79", {48: "ignore", 79: "reboot"}, False, id="all-disabled-but-one"),
        pytest.param("48", "48", {48: "reset"}, True, id="enabled-wins"),
        pytest.param("", "31,13", {31: "device", 13: "device", 43: "application"}, True, id="some-enabled"),
        pytest.param("all", "all", {31: "device", 48: "reset"}, True, id="all-enabled"),
    ],
)
def test_the_two_variables_work_together(disable: str, enable: str, kinds: dict[int, str], polled: bool) -> None:
    checks = parse_checks(disable, enable)
    assert {number: checks.xids.kind(number) for number in kinds} == kinds
    assert (checks.polled, checks.ignored) == (polled, ())


def test_words_that_mean_nothing_are_said_and_the_others_count() -> None:
    checks = parse_checks("48,-1,0,x,, 1e3,४८", "nonsense,79")
    assert checks.ignored == ("-1", "0", "x", "1e3", "४८", "nonsense")
    assert (checks.xids.disabled, checks.xids.enabled) == ({48}, {79})


@given(disable=st.text(), enable=st.text())
def test_no_text_is_too_strange(disable: str, enable: str) -> None:
    parse_checks(disable, enable).xids.kind(31)
