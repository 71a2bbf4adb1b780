"""The order of nodes, and cells."""

from gpunode.cluster.fleet import GpuNode, Resource
from gpunode.nodes.columns import describe_model, sort_nodes


def names(nodes: list[GpuNode]) -> list[str]:
    return [node.name for node in nodes]


def test_numbers_are_sorted_from_the_largest_and_equal_ones_by_name() -> None:
    nodes = [
        GpuNode(name=name, resources=(Resource(name="nvidia.com/gpu", capacity=free, allocatable=free),))
        for name, free in (("c", 1), ("b", 8), ("a", 1))
    ]
    assert names(sort_nodes(nodes, "free")) == ["b", "a", "c"]


def test_unknown_numbers_and_texts_are_last() -> None:
    nodes = [GpuNode(name="a"), GpuNode(name="b", gpus=0, driver="550.1"), GpuNode(name="c", gpus=4, driver="550.1")]
    assert names(sort_nodes(nodes, "gpus")) == ["c", "b", "a"]
    assert names(sort_nodes(nodes, "driver")) == ["b", "c", "a"]


def test_versions_are_sorted_by_their_numbers() -> None:
    nodes = [
        GpuNode(name="a", driver="1000.1"),
        GpuNode(name="b", driver="550.90"),
        GpuNode(name="c", driver="550.127"),
    ]
    assert names(sort_nodes(nodes, "driver")) == ["b", "c", "a"]


def test_simulated_gpus_are_marked() -> None:
    assert describe_model(GpuNode(name="a", models=("T4", "L4"), is_simulated=True)) == "T4, L4 (simulated)"
    assert describe_model(GpuNode(name="a", is_simulated=True)) == "(simulated)"
