"""DP_DISABLE_HEALTHCHECKS and DP_ENABLE_HEALTHCHECKS."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_plugin.health.checks import parse_checks


@pytest.mark.parametrize(
    ("disable", "enable", "kinds", "polled"),
    [
        pytest.param("", "", {48: "reset", 31: "application"}, True, id="defaults"),
        pytest.param("48, 79", "", {48: "ignore", 79: "ignore", 95: "reset"}, True, id="some-disabled"),
        pytest.param("xids", "", {48: "ignore", 999: "ignore"}, True, id="xids-disabled"),
        pytest.param(" ALL ", "", {48: "ignore"}, False, id="all-disabled"),
        pytest.param("all", "79", {48: "ignore", 79: "reboot"}, False, id="all-disabled-but-one"),
        pytest.param("48", "48", {48: "reset"}, True, id="enabled-wins"),
        pytest.param("", "31,13", {31: "device", 13: "device", 43: "application"}, True, id="some-enabled"),
        pytest.param("all", "all", {31: "device", 48: "reset"}, True, id="all-enabled"),
    ],
)
def test_enabled_checks_override_disabled_checks(
    disable: str, enable: str, kinds: dict[int, str], polled: bool
) -> None:
    checks = parse_checks(disable, enable)
    assert {number: checks.xids.classify(number) for number in kinds} == kinds
    assert (checks.polled, checks.ignored) == (polled, ())


def test_invalid_words_are_reported_and_the_others_apply() -> None:
    checks = parse_checks("48,-1,0,x,, 1e3,४८", "nonsense,79")
    assert checks.ignored == ("-1", "0", "x", "1e3", "४८", "nonsense")
    assert (checks.xids.disabled, checks.xids.enabled) == ({48}, {79})


@given(disable=st.text(), enable=st.text())
def test_any_text_is_parsed(disable: str, enable: str) -> None:
    parse_checks(disable, enable).xids.classify(31)
