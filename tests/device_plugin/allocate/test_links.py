"""Whole GPUs: the selected set has the highest possible weight."""

import itertools
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_plugin.allocate.links import choose_linked, weight_between
from device_plugin.devices import Device
from gpu_core.domain.inventory import PciPath
from tests.device_plugin.allocate.devices import CUBE, Links, Paths, node, prefer
from tests.exhaustive import many


def best_by_brute_force(free: Sequence[Device], fixed: Sequence[Device], count: int) -> tuple[Device, ...]:
    """The documented rule: the heaviest set, then the heaviest unused GPUs, then the first set."""

    def weigh(group: Sequence[Device]) -> int:
        return sum(weight_between(a, b) for a, b in itertools.combinations(group, 2))

    def key(chosen: tuple[Device, ...]) -> tuple[int, int]:
        return weigh((*fixed, *chosen)), weigh([device for device in free if device not in chosen])

    sets = list(itertools.combinations(free, count))
    most = max(map(key, sets))
    return next(chosen for chosen in sets if key(chosen) == most)


@st.composite
def requests_of_gpus(draw: st.DrawFn) -> tuple[list[Device], list[Device], int]:
    count = draw(st.integers(1, 8))
    pairs = list(itertools.combinations(range(count), 2))
    links = {pair: draw(st.sampled_from([0, 0, 1, 2, 4])) for pair in pairs}
    paths = {pair: draw(st.sampled_from([None, *PciPath])) for pair in pairs}
    devices = node(count, links, draw(st.lists(st.sampled_from([None, 0, 1]), min_size=count, max_size=count)), paths)
    fixed = draw(st.integers(0, min(2, count - 1)))
    return devices[fixed:], devices[:fixed], draw(st.integers(0, count - fixed))


@many(300)
@given(requests_of_gpus())
def test_no_other_set_of_gpus_has_a_higher_weight(question: tuple[list[Device], list[Device], int]) -> None:
    free, fixed, count = question
    assert choose_linked(free, fixed, count) == best_by_brute_force(free, fixed, count)


def test_unused_weight_matters_only_between_sets_of_equal_weight() -> None:
    devices = node(5, {(1, 4): 4, (0, 3): 2, (3, 4): 2}, [None] * 5)
    assert choose_linked(devices[1:], devices[:1], 2) == best_by_brute_force(devices[1:], devices[:1], 2)


@pytest.mark.parametrize(("seed", "size"), [(0, 2), (1, 5), (2, 8), (3, 12), (4, 15)])
def test_no_other_set_of_sixteen_gpus_has_a_higher_weight(seed: int, size: int) -> None:
    chance = random.Random(seed)
    links = {pair: chance.choice([0, 0, 1, 2, 6, 12]) for pair in itertools.combinations(range(16), 2)}
    devices = node(16, links, [index // 8 for index in range(16)])
    assert choose_linked(devices, (), size) == best_by_brute_force(devices, (), size)


def groups_of(members: int, count: int) -> Links:
    """Four NVLinks between all GPUs of a group."""
    return {(a, b): 4 for a, b in itertools.combinations(range(count), 2) if a // members == b // members}


@pytest.mark.parametrize("required", [0, 2])
@pytest.mark.parametrize(
    ("count", "links", "sizes"),
    [
        (8, {}, range(9)),
        (8, groups_of(2, 8), range(9)),
        (8, groups_of(4, 8), range(9)),
        (16, {}, (3, 13)),
        (16, groups_of(2, 16), (3, 13)),
        (16, groups_of(4, 16), (3, 13)),
        (16, {(a, b): 2 for a, b in itertools.combinations(range(16), 2) if b - a in (1, 15)}, (3, 13)),
    ],
    ids=["HGX or PCIe", "pairs", "quads", "HGX of 16", "16 in pairs", "16 in quads", "16 in a ring"],
)
def test_no_other_set_has_a_higher_weight_on_common_server_models(
    count: int, links: Links, sizes: Sequence[int], required: int
) -> None:
    devices = node(count, links, [index * 2 // count for index in range(count)])
    fixed, free = devices[count - required :], devices[: count - required]
    for size in sizes:
        if size <= len(free):
            assert choose_linked(free, fixed, size) == best_by_brute_force(free, fixed, size)


@pytest.mark.parametrize("size", range(9))
def test_no_other_set_of_a_dgx_1_has_a_higher_weight(size: int) -> None:
    devices = node(8, CUBE, [0] * 4 + [1] * 4)
    assert choose_linked(devices, (), size) == best_by_brute_force(devices, (), size)


@pytest.mark.parametrize(
    ("links", "size", "chosen"),
    [
        ({(4, 5): 4}, 2, [4, 5]),
        ({(4, 5): 4}, 1, [0]),
        ({(0, 1): 4, (2, 3): 4}, 1, [4]),
        ({(0, 1): 4, (2, 3): 4, (4, 5): 4, (6, 7): 4}, 4, [0, 1, 2, 3]),
        ({}, 4, [0, 1, 2, 3]),
        (CUBE, 2, [0, 3]),
        (CUBE, 4, [0, 1, 2, 3]),
    ],
    ids=[
        "a pair",
        "one, far from the pair",
        "one, without splitting a pair",
        "two pairs",
        "one NUMA node",
        "cube 2",
        "cube 4",
    ],
)
def test_known_topologies_with_eight_gpus(links: Links, size: int, chosen: list[int]) -> None:
    devices = node(8, links, [0] * 4 + [1] * 4)
    assert prefer(devices, size) == [f"GPU-{index}" for index in chosen]


def below(*levels: tuple[PciPath, int]) -> Paths:
    """Builds eight GPUs. levels: PCI path -> number of adjacent GPUs that share it."""
    return {
        (a, b): next((path for path, members in levels if a // members == b // members), PciPath.SYSTEM)
        for a, b in itertools.combinations(range(8), 2)
    }


@pytest.mark.parametrize(
    ("required", "size", "chosen"),
    [
        ([], 2, [0, 1]),
        ([3], 2, [3, 2]),
        ([3], 4, [3, 0, 1, 2]),
        ([5], 4, [5, 4, 6, 7]),
        ([0], 1, [0]),
    ],
)
def test_gpus_below_one_pcie_switch_are_selected_together(required: list[int], size: int, chosen: list[int]) -> None:
    paths = below((PciPath.SWITCH, 2), (PciPath.HOST_BRIDGE, 4))
    devices = node(8, {}, [None] * 8, paths)
    required_ids = [f"GPU-{index}" for index in required]
    assert prefer(devices, size, required_ids) == [f"GPU-{index}" for index in chosen]
    free = [device for device in devices if device.id not in required_ids]
    fixed = [device for device in devices if device.id in required_ids]
    assert set(choose_linked(free, fixed, size - len(fixed))) == set(
        best_by_brute_force(free, fixed, size - len(fixed))
    )


def test_a_single_gpu_is_selected_without_splitting_a_switch_pair() -> None:
    paths = below((PciPath.SWITCH, 2))
    devices = node(8, {}, [None] * 8, paths)
    assert prefer(devices, 1, available=[f"GPU-{index}" for index in (0, 1, 2, 4, 5)]) == ["GPU-2"]


def test_three_gpus_include_the_pair_with_an_nvlink_bridge() -> None:
    """Duplicate ids in a request caused a crash in another plugin."""
    devices = node(6, {(4, 5): 4}, [0] * 6)
    available = [f"GPU-{index}" for index in (0, 1, 2, 4, 5)]
    assert prefer(devices, 3, available=available) == ["GPU-0", "GPU-4", "GPU-5"]


def test_neighbours_of_required_gpus_are_selected() -> None:
    devices = node(8, {(0, 1): 4, (6, 7): 4}, [None] * 8)
    assert prefer(devices, 2, required=["GPU-6"]) == ["GPU-6", "GPU-7"]


def test_the_search_on_a_huge_node_stays_within_its_budget() -> None:
    chance = random.Random(1)
    links = {pair: chance.randrange(13) for pair in itertools.combinations(range(40), 2)}
    devices = node(40, links, [None] * 40)
    assert len(set(prefer(devices, 20))) == 20
