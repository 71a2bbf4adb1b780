"""The topology manager: all devices of a container in one NUMA node."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulation.kubelet.topology import DeviceRequest, TopologyError, aligned, choose_numa_node

NUMA = {"a": (0,), "b": (0,), "c": (1,), "d": (1,), "e": (1,)}


def request(count: int, available: str = "abcde", numa: dict[str, tuple[int, ...]] | None = None) -> DeviceRequest:
    return DeviceRequest(available=tuple(available), count=count, numa_nodes=NUMA if numa is None else numa)


@pytest.mark.parametrize(
    ("requests", "node"),
    [
        pytest.param([request(2)], 0, id="the first sufficient node"),
        pytest.param([request(3)], 1, id="the only sufficient node"),
        pytest.param([request(2, "ace")], 1, id="allocated devices are not available"),
        pytest.param([request(1), request(3)], 1, id="one node for all resources"),
        pytest.param([request(2, numa={"a": (), "b": ()})], None, id="devices without NUMA nodes"),
        pytest.param([request(1, numa={"a": (0, 1)}), request(3)], 1, id="a device of two nodes"),
        pytest.param([], None, id="no requests"),
    ],
)
def test_a_numa_node_is_selected(requests: list[DeviceRequest], node: int | None) -> None:
    assert choose_numa_node(requests) == node


@pytest.mark.parametrize(
    "requests",
    [
        pytest.param([request(4)], id="no node is sufficient"),
        pytest.param([request(2, "ac")], id="the devices are in two nodes"),
        pytest.param([request(1, "a"), request(1, "c")], id="two resources on two nodes"),
    ],
)
def test_without_a_sufficient_node_the_error_is_that_of_the_kubelet(requests: list[DeviceRequest]) -> None:
    with pytest.raises(TopologyError, match="Resources cannot be allocated with Topology locality") as refused:
        choose_numa_node(requests)
    assert refused.value.reason == "TopologyAffinityError"


@given(
    st.dictionaries(st.text("abcdef", min_size=1), st.lists(st.integers(0, 3), max_size=2).map(tuple)),
    st.integers(1, 4),
)
def test_the_selected_node_has_enough_devices(numa: dict[str, tuple[int, ...]], count: int) -> None:
    request = DeviceRequest(available=tuple(numa), count=count, numa_nodes=numa)
    try:
        node = choose_numa_node([request])
    except TopologyError:
        most = max(len(aligned(request.available, numa, each)) for each in range(4))
        assert most < count
    else:
        assert node is None or len(aligned(request.available, numa, node)) >= count
