"""The state of a Node, and its labels by agent."""

from gpunode.demo.changes import NodeState, agent_of, differences, group_labels, parse_node_state, render_resource


def test_labels_are_grouped_by_agent() -> None:
    labels = {"nvidia.com/gpu.present": "true", "nvidia.com/gpu.count": "8", "kubernetes.io/os": "linux"}
    assert agent_of("feature.node.kubernetes.io/cpu-model.id") == "nfd-lite"
    assert group_labels(labels) == {
        "nfd-lite": {"nvidia.com/gpu.present": "true"},
        "gfd": {"nvidia.com/gpu.count": "8"},
        "kubernetes": {"kubernetes.io/os": "linux"},
    }


def test_a_node_is_parsed_with_all_that_the_feed_shows() -> None:
    condition = {"type": "GPUReady", "status": "True", "reason": "GPUsReady", "message": "all"}
    taints = [{"key": "a", "effect": "NoSchedule"}, {"key": "b", "value": "c", "effect": "NoExecute"}]
    node = {
        "metadata": {"name": "n1", "labels": {"a": "b"}},
        "spec": {"taints": taints, "unschedulable": True},
        "status": {
            "capacity": {"cpu": "4", "nvidia.com/gpu": "8", "nvidia.com/old": "1"},
            "allocatable": {"nvidia.com/gpu": "7"},
            "conditions": [condition],
        },
    }
    assert parse_node_state(node) == NodeState(
        labels={"a": "b"},
        resources={"nvidia.com/gpu": ("8", "7"), "nvidia.com/old": ("1", "0")},
        conditions={"GPUReady": ("True", "GPUsReady", "all")},
        taints=frozenset({"a:NoSchedule", "b=c:NoExecute"}),
        is_cordoned=True,
    )
    assert parse_node_state({"metadata": {}}) == NodeState()


def test_differences_are_sorted_by_key() -> None:
    assert list(differences({"a": "1", "b": "1", "z": "1"}, {"a": "2", "z": "1", "c": "3"})) == [
        ("a", "1", "2"), ("b", "1", None), ("c", None, "3"),
    ]  # fmt: skip


def test_a_resource_with_devices_that_are_not_allocatable_shows_both_numbers() -> None:
    assert render_resource("8", "8") == "8"
    assert render_resource("8", "7") == "7 of 8"
