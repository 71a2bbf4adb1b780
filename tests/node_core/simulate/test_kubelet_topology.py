"""One NUMA node for all devices of a container, or none of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_core.simulate.kubelet_topology import TopologyError, Wish, aligned, choose_numa_node

NUMA = {"a": (0,), "b": (0,), "c": (1,), "d": (1,), "e": (1,)}


def wish(count: int, available: str = "abcde", numa: dict[str, tuple[int, ...]] | None = None) -> Wish:
    return Wish(available=tuple(available), count=count, numa_nodes=NUMA if numa is None else numa)


@pytest.mark.parametrize(
    ("wishes", "node"),
    [
        pytest.param([wish(2)], 0, id="the first that has enough"),
        pytest.param([wish(3)], 1, id="the only one that has enough"),
        pytest.param([wish(2, "ace")], 1, id="what is taken does not count"),
        pytest.param([wish(1), wish(3)], 1, id="one node for all resources"),
        pytest.param([wish(2, numa={"a": (), "b": ()})], None, id="no plugin names any"),
        pytest.param([wish(1, numa={"a": (0, 1)}), wish(3)], 1, id="a device of two nodes"),
        pytest.param([], None, id="nothing is asked for"),
    ],
)
def test_a_node_is_chosen(wishes: list[Wish], node: int | None) -> None:
    assert choose_numa_node(wishes) == node


@pytest.mark.parametrize(
    "wishes",
    [
        pytest.param([wish(4)], id="no node has so many"),
        pytest.param([wish(2, "ac")], id="they are torn"),
        pytest.param([wish(1, "a"), wish(1, "c")], id="two resources on two nodes"),
    ],
)
def test_otherwise_it_is_refused_as_the_kubelet_words_it(wishes: list[Wish]) -> None:
    with pytest.raises(TopologyError, match="Resources cannot be allocated with Topology locality") as refused:
        choose_numa_node(wishes)
    assert refused.value.reason == "TopologyAffinityError"


@given(
    st.dictionaries(st.text("abcdef", min_size=1), st.lists(st.integers(0, 3), max_size=2).map(tuple)),
    st.integers(1, 4),
)
def test_the_chosen_node_has_enough(numa: dict[str, tuple[int, ...]], count: int) -> None:
    asked = Wish(available=tuple(numa), count=count, numa_nodes=numa)
    try:
        node = choose_numa_node([asked])
    except TopologyError:
        most = max(len(aligned(asked.available, numa, each)) for each in range(4))
        assert most < count
    else:
        assert node is None or len(aligned(asked.available, numa, node)) >= count
