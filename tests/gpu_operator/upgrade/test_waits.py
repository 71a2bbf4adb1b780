"""The status of an NVIDIADriver names the Nodes whose upgrade waits or has failed."""

import pytest

from gpu_operator.plan.cluster_plan import ClusterPlan
from gpu_operator.plan.driver_pods import Reason, Wait
from gpu_operator.plan.status import DriverState
from gpu_operator.spec import Decoded
from gpu_operator.upgrade.keys import State
from gpu_operator.upgrade.status import DriverUpgrade, NodeUpgrade
from gpu_operator.upgrade.waits import add_upgrades

ENDING = Wait(reason=Reason.ENDING, message="The driver pod ends.")
PLAN = ClusterPlan(states={"default": DriverState(decoded=Decoded(spec=None), waits={"n1": ENDING, "n2": ENDING})})


def waits(state: State, reason: str = "") -> dict[str, Wait]:
    upgrades = {"default": DriverUpgrade(nodes=(NodeUpgrade(node="n1", state=state, reason=reason),))}
    return dict(add_upgrades(PLAN, upgrades).states["default"].waits)


@pytest.mark.parametrize("state", [State.UNKNOWN, State.REQUIRED, State.DONE])
def test_a_node_whose_upgrade_is_not_in_progress_waits_for_its_pod(state: State) -> None:
    assert waits(state) == {"n1": ENDING, "n2": ENDING}


def test_an_upgrade_in_progress_says_what_it_waits_for() -> None:
    message = "The upgrade is in the state drain-required: pod ml/a has not ended."
    assert waits(State.DRAIN, "pod ml/a has not ended") == {
        "n1": Wait(reason=Reason.UPGRADING, message=message),
        "n2": ENDING,
    }


def test_a_failed_upgrade_says_why_and_what_to_do() -> None:
    message = waits(State.FAILED, "no such image")["n1"].message
    assert message.startswith("The upgrade failed: no such image. After the repair, remove the label nvidia.com/")


def test_a_driver_without_an_upgrade_has_its_waits() -> None:
    assert add_upgrades(PLAN, {}) == PLAN
