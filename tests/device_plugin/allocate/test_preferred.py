"""The preferred devices: provably the best, and an answer to every question."""

import itertools
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from device_plugin.allocate.links import choose_linked, weight_between
from device_plugin.allocate.preferred import preferred_ids
from device_plugin.devices import Device, DeviceId, Offer, Policy
from device_plugin.plan.found import find_devices
from node_core.domain.inventory import Gpu, GpuUuid, Inventory, PciPath, PciPeer
from tests.device_plugin.conftest import make_gpu

Links = dict[tuple[int, int], int]
Paths = Mapping[tuple[int, int], PciPath | None]
NO_PATHS: Paths = {}


def node(count: int, links: Links, numa: Sequence[int | None], paths: Paths = NO_PATHS) -> list[Device]:
    """links: (lower, higher) -> how many. paths: the same -> how near PCI has them."""

    def gpu(index: int) -> Gpu:
        straight = {peer: links.get((min(index, peer), max(index, peer)), 0) for peer in range(count) if peer != index}
        near = {peer: paths.get((min(index, peer), max(index, peer))) for peer in straight}
        return replace(
            make_gpu(index, numa=numa[index], links={peer: number for peer, number in straight.items() if number}),
            pci_peers=tuple(PciPeer(gpu=GpuUuid(f"GPU-{peer}"), path=path) for peer, path in near.items() if path),
        )

    return list(find_devices(Inventory(driver=None, gpus=tuple(map(gpu, range(count))))))


def slices(*counts: int, numa: Sequence[int | None] = (None,) * 16) -> list[Device]:
    return [
        Device(
            id=DeviceId(f"MIG-{gpu}-{slot}"),
            uuid=f"MIG-{gpu}-{slot}",
            index=f"{gpu}:{slot}",
            gpu=GpuUuid(f"GPU-{gpu}"),
            numa_node=numa[gpu],
        )
        for gpu, count in enumerate(counts)
        for slot in range(count)
    ]


def ask(
    devices: Sequence[Device],
    size: int,
    required: Sequence[str] = (),
    available: Sequence[str] = (),
    policy: Policy = "packed",
) -> list[str]:
    table = {device.id: device for device in devices}
    return list(
        preferred_ids(
            Offer(devices=tuple(devices), policy=policy),
            table,
            available or [device.id for device in devices],
            required,
            size,
        )
    )


def best_by_brute_force(free: Sequence[Device], fixed: Sequence[Device], count: int) -> tuple[Device, ...]:
    """The definition, written out: the heaviest set, then the heaviest rest, then the first."""

    def weigh(group: Sequence[Device]) -> int:
        return sum(weight_between(a, b) for a, b in itertools.combinations(group, 2))

    def key(chosen: tuple[Device, ...]) -> tuple[int, int]:
        return weigh((*fixed, *chosen)), weigh([device for device in free if device not in chosen])

    sets = list(itertools.combinations(free, count))
    most = max(map(key, sets))
    return next(chosen for chosen in sets if key(chosen) == most)


@st.composite
def questions(draw: st.DrawFn) -> tuple[list[Device], list[Device], int]:
    count = draw(st.integers(1, 8))
    pairs = list(itertools.combinations(range(count), 2))
    links = {pair: draw(st.sampled_from([0, 0, 1, 2, 4])) for pair in pairs}
    paths = {pair: draw(st.sampled_from([None, *PciPath])) for pair in pairs}
    devices = node(count, links, draw(st.lists(st.sampled_from([None, 0, 1]), min_size=count, max_size=count)), paths)
    fixed = draw(st.integers(0, min(2, count - 1)))
    return devices[fixed:], devices[:fixed], draw(st.integers(0, count - fixed))


@settings(max_examples=300)
@given(questions())
def test_no_set_of_gpus_is_better(question: tuple[list[Device], list[Device], int]) -> None:
    free, fixed, count = question
    assert choose_linked(free, fixed, count) == best_by_brute_force(free, fixed, count)


def test_what_stays_free_counts_only_between_sets_that_weigh_the_same_with_the_required() -> None:
    devices = node(5, {(1, 4): 4, (0, 3): 2, (3, 4): 2}, [None] * 5)
    assert choose_linked(devices[1:], devices[:1], 2) == best_by_brute_force(devices[1:], devices[:1], 2)


@pytest.mark.parametrize(("seed", "size"), [(0, 2), (1, 5), (2, 8), (3, 12), (4, 15)])
def test_no_set_of_sixteen_is_better(seed: int, size: int) -> None:
    chance = random.Random(seed)
    links = {pair: chance.choice([0, 0, 1, 2, 6, 12]) for pair in itertools.combinations(range(16), 2)}
    devices = node(16, links, [index // 8 for index in range(16)])
    assert choose_linked(devices, (), size) == best_by_brute_force(devices, (), size)


def groups_of(members: int, count: int) -> Links:
    """Four links between all GPUs of a group."""
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
def test_no_set_is_better_on_nodes_that_are_sold(count: int, links: Links, sizes: Sequence[int], required: int) -> None:
    devices = node(count, links, [index * 2 // count for index in range(count)])
    fixed, free = devices[count - required :], devices[: count - required]
    for size in sizes:
        if size <= len(free):
            assert choose_linked(free, fixed, size) == best_by_brute_force(free, fixed, size)


@pytest.mark.parametrize("size", range(9))
def test_no_set_of_a_dgx_1_is_better(size: int) -> None:
    devices = node(8, CUBE, [0] * 4 + [1] * 4)
    assert choose_linked(devices, (), size) == best_by_brute_force(devices, (), size)


CUBE: Links = {
    (0, 1): 1, (0, 2): 1, (0, 3): 2, (0, 4): 2, (1, 2): 2, (1, 3): 1, (1, 5): 2, (2, 3): 2, (2, 6): 1, (3, 7): 1,
    (4, 5): 1, (4, 6): 1, (4, 7): 2, (5, 6): 2, (5, 7): 1, (6, 7): 2,
}  # fmt: skip
"""NVLinks of a DGX-1."""


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
    ids=["a pair", "one, far from the pair", "one, no pair torn", "two pairs", "one NUMA node", "cube 2", "cube 4"],
)
def test_known_nodes_of_eight(links: Links, size: int, chosen: list[int]) -> None:
    devices = node(8, links, [0] * 4 + [1] * 4)
    assert ask(devices, size) == [f"GPU-{index}" for index in chosen]


def below(*levels: tuple[PciPath, int]) -> Paths:
    """For eight GPUs, the nearest first: so many next to each other have this in common."""
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
def test_gpus_below_one_pcie_switch_go_together(required: list[int], size: int, chosen: list[int]) -> None:
    paths = below((PciPath.SWITCH, 2), (PciPath.HOST_BRIDGE, 4))
    devices = node(8, {}, [None] * 8, paths)
    asked = [f"GPU-{index}" for index in required]
    assert ask(devices, size, asked) == [f"GPU-{index}" for index in chosen]
    free = [device for device in devices if device.id not in asked]
    fixed = [device for device in devices if device.id in asked]
    assert set(choose_linked(free, fixed, size - len(fixed))) == set(
        best_by_brute_force(free, fixed, size - len(fixed))
    )


def test_one_gpu_is_taken_where_no_switch_is_torn() -> None:
    paths = below((PciPath.SWITCH, 2))
    devices = node(8, {}, [None] * 8, paths)
    assert ask(devices, 1, available=[f"GPU-{index}" for index in (0, 1, 2, 4, 5)]) == ["GPU-2"]


def test_three_of_a_node_with_one_bridge_hold_the_bridge() -> None:
    """Padding of the request once crashed a plugin on exactly this question."""
    devices = node(6, {(4, 5): 4}, [0] * 6)
    available = [f"GPU-{index}" for index in (0, 1, 2, 4, 5)]
    assert ask(devices, 3, available=available) == ["GPU-0", "GPU-4", "GPU-5"]


def test_the_required_pull_their_neighbours_in() -> None:
    devices = node(8, {(0, 1): 4, (6, 7): 4}, [None] * 8)
    assert ask(devices, 2, required=["GPU-6"]) == ["GPU-6", "GPU-7"]


def test_the_order_of_the_question_does_not_matter() -> None:
    devices = node(8, CUBE, [0] * 8)
    forward = [device.id for device in devices]
    assert ask(devices, 3, available=forward) == ask(devices, 3, available=forward[::-1])


def test_a_huge_node_is_answered_within_its_budget() -> None:
    chance = random.Random(1)
    links = {pair: chance.randrange(13) for pair in itertools.combinations(range(40), 2)}
    devices = node(40, links, [None] * 40)
    assert len(set(ask(devices, 20))) == 20


@given(
    available=st.lists(st.sampled_from([*(f"GPU-{index}" for index in range(6)), "GPU-9", "", "tegra"]), max_size=12),
    required=st.lists(st.sampled_from(["GPU-0", "GPU-5", "GPU-9"]), max_size=3),
    size=st.integers(-(2**31), 2**31 - 1),
    sick=st.booleans(),
)
def test_every_question_has_an_answer(available: list[str], required: list[str], size: int, sick: bool) -> None:
    devices = node(6, {(0, 1): 2}, [0] * 6)
    if sick:
        devices[3] = replace(devices[3], why_unhealthy="lost")
    chosen = ask(devices, size, required, available or [""])
    usable = {device.id for device in devices if device.healthy} & set(available)
    assert len(set(chosen)) == len(chosen)
    assert set(required) <= set(chosen) <= usable | set(required)
    assert len(chosen) == max(len(set(required)), min(size, len(usable | set(required))))


@pytest.mark.parametrize(
    ("counts", "required", "size", "chosen"),
    [
        ((7, 2, 3), [], 2, ["MIG-1-0", "MIG-1-1"]),
        ((7, 2, 3), [], 3, ["MIG-2-0", "MIG-2-1", "MIG-2-2"]),
        ((4, 2, 3), [], 6, ["MIG-0-0", "MIG-0-1", "MIG-0-2", "MIG-0-3", "MIG-1-0", "MIG-1-1"]),
        ((7, 2, 3), ["MIG-0-6"], 2, ["MIG-0-6", "MIG-0-0"]),
    ],
    ids=["the fullest that has enough", "exactly enough", "the most, then what fits", "where the required is"],
)
def test_slices_are_packed(counts: tuple[int, ...], required: list[str], size: int, chosen: list[str]) -> None:
    assert ask(slices(*counts), size, required) == chosen


@given(st.lists(st.integers(1, 7), min_size=1, max_size=8), st.data())
def test_slices_never_take_more_gpus_than_needed(counts: list[int], data: st.DataObject) -> None:
    size = data.draw(st.integers(0, sum(counts)))
    used = {each.split("-")[1] for each in ask(slices(*counts), size)}
    needed = next(n for n in range(len(counts) + 1) if sum(sorted(counts, reverse=True)[:n]) >= size)
    assert len(used) <= max(needed, 1)


def test_slices_stay_on_one_numa_node_where_that_costs_nothing() -> None:
    devices = slices(3, 3, 3, 3, numa=[0, 1, 0, 1])
    assert {each.split("-")[1] for each in ask(devices, 6)} == {"0", "2"}


@pytest.mark.parametrize(
    ("counts", "required", "available", "size", "chosen"),
    [
        ((7, 2, 3), [], [], 2, ["MIG-0-0", "MIG-1-0"]),
        ((7, 2, 3), [], [], 4, ["MIG-0-0", "MIG-1-0", "MIG-2-0", "MIG-0-1"]),
        ((2, 2, 2), ["MIG-0-1"], [], 3, ["MIG-0-1", "MIG-1-0", "MIG-2-0"]),
        ((2, 2), [], ["MIG-0-1", "MIG-1-0", "MIG-1-1"], 1, ["MIG-1-0"]),
        ((3, 1), [], [], 4, ["MIG-0-0", "MIG-1-0", "MIG-0-1", "MIG-0-2"]),
    ],
    ids=["one of each", "around", "not where the required is", "where fewest are in use", "what there is"],
)
def test_slices_are_spread_on_request(
    counts: tuple[int, ...], required: list[str], available: list[str], size: int, chosen: list[str]
) -> None:
    assert ask(slices(*counts), size, required, available, policy="distributed") == chosen


@settings(max_examples=200)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=4), st.data())
def test_no_set_of_slices_is_spread_better(counts: list[int], data: st.DataObject) -> None:
    devices = slices(*counts)
    ids = [str(device.id) for device in devices]
    available = data.draw(st.sets(st.sampled_from(ids), min_size=1)) if ids else set[str]()
    required = data.draw(st.sets(st.sampled_from(sorted(available)), max_size=2)) if ids else set[str]()
    size = data.draw(st.integers(len(required), len(available)))
    assume(len({each.split("-")[1] for each in available}) < len(available))  # of one of each GPU links decide
    in_use = Counter(each.split("-")[1] for each in set(ids) - available)

    def cost(chosen: Iterable[str]) -> tuple[int, int]:
        """The sum of squares is the least where no GPU has two more than another; then GPUs with less in use are better."""
        per_gpu = Counter(each.split("-")[1] for each in chosen)
        return sum(count * count for count in per_gpu.values()), sum(in_use[gpu] * per_gpu[gpu] for gpu in per_gpu)

    chosen = ask(devices, size, sorted(required), sorted(available), policy="distributed")
    others = itertools.combinations(sorted(available - required), size - len(required))
    assert cost(chosen) == min(cost((*required, *other)) for other in others)
