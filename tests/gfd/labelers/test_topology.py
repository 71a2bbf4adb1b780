"""The labels of NVLink groups and NUMA nodes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfd.labelers.topology import group_sizes
from gpu_core.domain.inventory import Fabric, Gpu
from tests.gfd.labelers.inventories import gpu, labels_below, linked, node


@pytest.mark.parametrize(
    ("gpus", "largest", "smallest"),
    [
        pytest.param((linked(0, 1), linked(1, 0), gpu(2)), "2", "1", id="a pair and a single GPU"),
        pytest.param((linked(0, 1), linked(1, 0), linked(2, 3), linked(3, 2)), "2", "2", id="two pairs"),
        pytest.param((linked(0, 1), linked(1, 0, 2), linked(2, 1)), "3", "3", id="a chain"),
        pytest.param((linked(0), linked(1, 0)), "2", "2", id="a link reported by one end only"),
    ],
)
def test_the_sizes_of_nvlink_groups(gpus: tuple[Gpu, ...], largest: str, smallest: str) -> None:
    assert labels_below("gpu.nvlink.", node(*gpus)) == {"largest": largest, "smallest": smallest}


def test_the_gpus_of_one_clique_are_a_group() -> None:
    one, two = (Fabric(cluster_uuid="c", clique=number) for number in (1, 2))
    assert labels_below("gpu.nvlink.", node(gpu(0, fabric=one), gpu(1, fabric=one), gpu(2, fabric=two))) == {
        "largest": "2",
        "smallest": "1",
    }
    assert labels_below("gpu.nvlink.", node(gpu(0, fabric=one), gpu(1, fabric=two))) == {}


def test_all_gpus_with_links_to_switches_are_a_group() -> None:
    assert labels_below("gpu.nvlink.", node(*(gpu(number, switch_links=18) for number in range(3)))) == {
        "largest": "3",
        "smallest": "3",
    }
    some = (gpu(0, switch_links=12), gpu(1, switch_links=12), gpu(2), gpu(3, switch_links=12, mig_enabled=True))
    assert labels_below("gpu.nvlink.", node(*some)) == {"largest": "2", "smallest": "1"}
    assert labels_below("gpu.nvlink.", node(gpu(0, switch_links=18), gpu(1))) == {}


def test_a_clique_takes_precedence_over_switches() -> None:
    one, two = (Fabric(cluster_uuid="c", clique=number) for number in (1, 2))
    assert (
        labels_below("gpu.nvlink.", node(gpu(0, fabric=one, switch_links=18), gpu(1, fabric=two, switch_links=18)))
        == {}
    )
    pair = (gpu(0, fabric=one, switch_links=18), gpu(1, fabric=one, switch_links=18))
    assert labels_below("gpu.nvlink.", node(*pair, gpu(2, switch_links=18))) == {"largest": "2", "smallest": "1"}


def test_without_a_known_connection_there_are_no_nvlink_labels() -> None:
    assert labels_below("gpu.nvlink.", node(gpu(0), gpu(1))) == {}
    assert labels_below("gpu.nvlink.", node(linked(0, 9), linked(1, 9))) == {}
    assert labels_below("gpu.nvlink.", node(linked(0, 1, mig_enabled=True), linked(1, 0))) == {}


@given(st.data(), st.integers(1, 9))
def test_groups_contain_every_gpu_and_do_not_depend_on_the_order(data: st.DataObject, many: int) -> None:
    number = st.integers(0, many - 1)
    links = data.draw(st.lists(st.tuples(number, number).filter(lambda pair: pair[0] != pair[1]), max_size=9))
    gpus = [linked(each, *(b for a, b in links if a == each)) for each in range(many)]
    sizes = group_sizes(tuple(gpus))
    assert sum(sizes) == many
    assert group_sizes(tuple(data.draw(st.permutations(gpus)))) == sizes


def test_numa_labels_need_the_numa_node_of_every_gpu() -> None:
    gpus = (gpu(0, numa_node=0), gpu(1, numa_node=0), gpu(2, numa_node=1))
    assert labels_below("gpu.numa.", node(*gpus)) == {"nodes": "2", "largest": "2"}
    assert labels_below("gpu.numa.", node(*gpus, gpu(3))) == {}
