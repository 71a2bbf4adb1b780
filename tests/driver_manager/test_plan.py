"""What must happen before a driver container starts."""

import pytest

from driver_manager.modules import Module
from driver_manager.plan import Action, DriverFacts, WantedDriver, is_version_of, plan_driver
from node_core.values import replace

LOADED = DriverFacts(modules=(Module(name="nvidia"),), version="550.54.15", digest="a")
WANTED = WantedDriver(digest="a")


@pytest.mark.parametrize(
    ("facts", "wanted", "action", "why"),
    [
        (DriverFacts(), WANTED, Action.CLEAN, "no module"),
        (DriverFacts(digest="a"), WANTED, Action.CLEAN, "no module"),
        (LOADED, WANTED, Action.SKIP, "550.54.15"),
        (LOADED, replace(WANTED, version="550.54.15"), Action.SKIP, "loaded already"),
        (LOADED, replace(WANTED, version="550"), Action.SKIP, "loaded already"),
        (LOADED, replace(WANTED, version="580.1"), Action.REPLACE, "550.54.15, not 580.1"),
        (LOADED, replace(WANTED, digest="b"), Action.REPLACE, "has changed"),
        (LOADED, WantedDriver(), Action.REPLACE, "DRIVER_CONFIG_DIGEST"),
        (LOADED, replace(WANTED, is_forced=True), Action.REPLACE, "FORCE_REINSTALL"),
        (replace(LOADED, digest=None), WANTED, Action.REPLACE, "recorded"),
        (replace(LOADED, version=None), WANTED, Action.REPLACE, "in part"),
        (replace(LOADED, host_driver="/usr/lib64/x"), WANTED, Action.STOP, "/usr/lib64/x"),
        (DriverFacts(host_driver="/usr/lib64/x"), WANTED, Action.STOP, "its own"),
    ],
)
def test_the_plan_states_its_reason(facts: DriverFacts, wanted: WantedDriver, action: Action, why: str) -> None:
    plan = plan_driver(facts, wanted)
    assert (plan.action, why in plan.why) == (action, True)


def test_a_branch_is_not_a_prefix_of_another_number() -> None:
    assert is_version_of("550.54.15", "550.54")
    assert not is_version_of("5501.2", "550")
