"""What counts as a change of the health of a Node."""

import msgspec

from gpunode.cluster.feed import Snapshot
from gpunode.ui.health import MAX_CHANGES, HealthHistory
from node_core.domain.conditions import GPU_READY
from node_core.scheduling.objects import Node

SINCE = "2026-01-01T00:00:00Z"


def snapshot(**statuses: str) -> Snapshot:
    """statuses: Node -> the status of its condition."""
    nodes = {
        name: msgspec.convert(
            {
                "metadata": {"name": name},
                "status": {"conditions": [{"type": GPU_READY, "status": status, "lastTransitionTime": SINCE}]},
            },
            Node,
        )
        for name, status in statuses.items()
    }
    return Snapshot(nodes=nodes)


def changes(*snapshots: Snapshot) -> list[tuple[str, str]]:
    """Returns the time and status of each change of the Node a."""
    history = HealthHistory(clock=lambda: 1_800_000_000.0)
    for each in snapshots:
        history.update(each)
    return [(change.at, change.status) for change in history.changes("a")]


def test_the_first_state_has_the_time_of_the_condition_and_later_ones_the_time_of_their_arrival() -> None:
    seen = changes(snapshot(a="True"), snapshot(a="True", b="True"), snapshot(a="False"))
    assert seen == [(SINCE, "True"), ("2027-01-15T08:00:00Z", "False")]


def test_the_history_of_a_deleted_node_is_forgotten() -> None:
    assert changes(snapshot(a="True"), snapshot(), snapshot(a="False")) == [(SINCE, "False")]
    assert changes(snapshot(b="True")) == []


def test_only_the_last_changes_are_remembered() -> None:
    states = [snapshot(a=str(number % 2)) for number in range(MAX_CHANGES + 5)]
    assert len(changes(*states)) == MAX_CHANGES
