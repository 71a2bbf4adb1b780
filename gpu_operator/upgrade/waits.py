"""Adds to the status of each NVIDIADriver why the upgrades of its Nodes wait or have failed. PURE."""

from collections.abc import Mapping

from gpu_operator.plan.cluster_plan import ClusterPlan
from gpu_operator.plan.driver_pods import Reason, Wait
from gpu_operator.upgrade.keys import BUSY, STATE, State
from gpu_operator.upgrade.status import DriverUpgrade, NodeUpgrade
from node_core.values import replace


def add_upgrades(plan: ClusterPlan, upgrades: Mapping[str, DriverUpgrade]) -> ClusterPlan:
    """Returns the plan with the waits of Nodes whose upgrade is in progress or has failed."""
    states = {
        name: replace(state, waits={**state.waits, **_waits(upgrades[name])}) if name in upgrades else state
        for name, state in plan.states.items()
    }
    return replace(plan, states=states)


def _waits(upgrade: DriverUpgrade) -> dict[str, Wait]:
    return {each.node: _describe(each) for each in upgrade.nodes if each.state in BUSY or each.state is State.FAILED}


def _describe(node: NodeUpgrade) -> Wait:
    why = f": {node.reason}" if node.reason else ""
    if node.state is State.FAILED:
        message = f"The upgrade failed{why}. After the repair, remove the label {STATE}."
        return Wait(reason=Reason.UPGRADE_FAILED, message=message)
    return Wait(reason=Reason.UPGRADING, message=f"The upgrade is in the state {node.state}{why}.")
