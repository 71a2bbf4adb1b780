"""NUMA nodes of hosts, and files that the kernel does not write."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfd_lite.topology.numa import parse_distances, parse_memory, parse_numbers, read_numa_nodes
from node_core.domain.node_resources import NumaNode
from node_core.errors import HostReadError
from node_core.host.root import HostRoot
from tests.nfd_lite.conftest import Files, LayOut

NODES = "/sys/devices/system/node"
KIB = 1024


def node(number: int, cpus: str, kilobytes: int, distances: str) -> Files:
    return {
        f"{NODES}/node{number}/cpulist": f"{cpus}\n",
        f"{NODES}/node{number}/meminfo": f"Node {number} MemTotal:  {kilobytes} kB\nNode {number} MemFree: 1 kB\n",
        f"{NODES}/node{number}/distance": f"{distances}\n",
    }


def test_the_nodes_have_cpus_memory_huge_pages_and_distances(lay_out: LayOut) -> None:
    pages = f"{NODES}/node1/hugepages"
    root = lay_out({
        f"{NODES}/online": "0-1\n",
        **node(0, "0-1,4-5", 1000, "10 21"),
        **node(1, "2-3,6-7", 2000, "21 10"),
        f"{pages}/hugepages-2048kB/nr_hugepages": "3\n",
        f"{pages}/hugepages-1048576kB/nr_hugepages": "0\n",
    })  # fmt: skip
    assert read_numa_nodes(root) == (
        NumaNode(number=0, cpus=frozenset({0, 1, 4, 5}), memory={"memory": 1000 * KIB}, distances={0: 10, 1: 21}),
        NumaNode(
            number=1,
            cpus=frozenset({2, 3, 6, 7}),
            memory={"memory": 2000 * KIB, "hugepages-2Mi": 6 * KIB * KIB, "hugepages-1Gi": 0},
            distances={0: 21, 1: 10},
        ),
    )


def test_distances_are_those_of_the_nodes_that_are_online(lay_out: LayOut) -> None:
    """The kernel writes one distance for each node that is online, and no number of a node."""
    root = lay_out({
        f"{NODES}/online": "0,2\n",
        **node(0, "0", 1, "10 17"),
        **node(2, "1", 1, "17 10"),
        f"{NODES}/node1/cpulist": "\n",
    })  # fmt: skip
    found = read_numa_nodes(root)
    assert [(each.number, dict(each.distances)) for each in found] == [(0, {0: 10, 2: 17}), (2, {0: 17, 2: 10})]


def test_a_node_may_have_no_cpus_or_no_memory(lay_out: LayOut) -> None:
    root = lay_out({f"{NODES}/online": "0-1\n", **node(0, "0-3", 0, "10 20"), **node(1, "", 500, "20 10")})
    first, second = read_numa_nodes(root)
    assert (len(first.cpus), dict(first.memory)) == (4, {"memory": 0})
    assert (len(second.cpus), dict(second.memory)) == (0, {"memory": 500 * KIB})


def test_a_kernel_without_numa_has_one_node(lay_out: LayOut) -> None:
    root = lay_out({
        "/sys/devices/system/cpu/online": "0-3\n",
        "/proc/meminfo": "MemTotal:       4000 kB\nMemFree: 1 kB\n",
        "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "1\n",
    })  # fmt: skip
    memory = {"memory": 4000 * KIB, "hugepages-2Mi": 2 * KIB * KIB}
    assert read_numa_nodes(root) == (NumaNode(number=0, cpus=frozenset(range(4)), memory=memory, distances={0: 10}),)


def test_without_proc_of_the_host_a_kernel_without_numa_has_the_memory_of_this_process(lay_out: LayOut) -> None:
    """The chart mounts only /sys of the host."""
    (found,) = read_numa_nodes(lay_out({"/sys/devices/system/cpu/online": "0-3\n"}))
    assert found.memory["memory"] == parse_memory("/proc/meminfo", Path("/proc/meminfo").read_text())


def test_a_host_that_is_not_mounted_is_an_error(lay_out: LayOut) -> None:
    with pytest.raises(HostReadError, match=r"/cpu/online is missing \(mount the host there, or correct --host-root\)"):
        read_numa_nodes(lay_out({}))


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("online", "0-x", "'x', which is not a number"),
        ("online", "5-2", "'5-2', which is not a range"),
        ("online", "0-999999999", "'0-999999999', which is not a range"),
        ("node0/cpulist", "0,-1", "'', which is not a number"),
        ("node0/meminfo", "Node 0 MemFree: 5 kB", "has no MemTotal"),
        ("node0/meminfo", "", "has no MemTotal"),
        ("node0/distance", "10 20", "has 2 distances, but 1 NUMA nodes are online"),
        ("node0/distance", "near", "'near', which is not a number"),
        ("node0/hugepages/hugepages-2048kB/nr_hugepages", "-1", "'-1', which is not a number"),
    ],
)
def test_a_damaged_file_is_an_error_with_its_path(file: str, content: str, why: str, lay_out: LayOut) -> None:
    root = lay_out({f"{NODES}/online": "0\n", **node(0, "0", 1, "10"), f"{NODES}/{file}": content})
    with pytest.raises(HostReadError, match=why) as refused:
        read_numa_nodes(root)
    assert f"{NODES}/{file}" in refused.value.message


def test_a_missing_file_is_an_error_with_its_path(lay_out: LayOut) -> None:
    with pytest.raises(HostReadError, match="node0/cpulist is missing"):
        read_numa_nodes(lay_out({f"{NODES}/online": "0\n"}))


def test_this_machine_can_be_read() -> None:
    assert read_numa_nodes(HostRoot())[0].memory["memory"] > 0


@given(st.frozensets(st.integers(0, 300)))
def test_lists_of_numbers_are_read(numbers: frozenset[int]) -> None:
    assert parse_numbers("/f", ",".join(map(str, sorted(numbers)))) == numbers


@given(st.text() | st.from_regex(r"[0-9,\-\n ]*", fullmatch=True))
def test_any_text_is_read_or_is_an_error(text: str) -> None:
    for parse in (parse_numbers, parse_memory, lambda path, content: parse_distances(path, content, [0, 1])):
        with suppress(HostReadError):
            parse("/f", text)
