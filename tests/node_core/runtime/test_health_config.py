"""The section `health` of the config file."""

import pytest

from node_core.domain.xid import XidClass, XidPolicy
from node_core.errors import SettingsError
from node_core.runtime.nvidia_config import NvidiaConfig, decode_nvidia_config, plan_health


def health(**section: object) -> NvidiaConfig:
    config, _ = decode_nvidia_config({"version": "v1", "health": section}, ["plugin"], source="file")
    return config


def test_xids_get_the_class_that_the_file_says() -> None:
    policy = plan_health(health(xids={94: "ignore", 31: "reset"}).health, XidPolicy(), polled=True)
    assert [policy.xids.kind(number) for number in (94, 31, 48)] == [
        XidClass.IGNORE, XidClass.RESET, XidClass.RESET,
    ]  # fmt: skip


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90.0), ("2m", 120.0), (5, 5.0), (None, 60.0)])
def test_the_hold_down_is_a_duration_or_seconds(text: object, seconds: float) -> None:
    assert plan_health(health(holdDown=text).health, XidPolicy(), polled=True).hold_down == seconds


def test_the_environment_stays_beside_the_file() -> None:
    environment = XidPolicy(disabled={48}, enabled={94})
    policy = plan_health(health(xids={94: "ignore"}).health, environment, polled=False)
    assert (policy.xids.kind(48), policy.xids.kind(94), policy.polled) == (XidClass.IGNORE, XidClass.DEVICE, False)


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"xids": {94: "ignored"}}, "health.xids"),
        ({"xids": {0: "ignore"}}, "health.xids"),
        ({"xids": {"all": "ignore"}}, "health.xids"),
        ({"xids": [94]}, "health.xids"),
        ({"holdDown": "infinite"}, "health.holdDown: infinite would keep GPUs out for ever"),
        ({"holdDown": "0s"}, "health.holdDown: 0s is below one second"),
        ({"holdDown": 60_000_000_000}, "health.holdDown: 60000000000 is more than a year"),
        ({"holddown": "60s"}, "did you mean holdDown?"),
    ],
)
def test_what_is_wrong_is_said_with_its_path(section: dict[str, object], problem: str) -> None:
    with pytest.raises(SettingsError) as error:
        health(**section)
    assert problem in str(error.value)
