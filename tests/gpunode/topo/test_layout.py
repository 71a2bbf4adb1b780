"""The geometry of the picture: boxes do not overlap, lines do not share a segment, and everything is within the page."""

import itertools
from collections.abc import Mapping

import pytest
from hypothesis import given

from gpu_core.domain.inventory import Fabric, Gpu, GpuUuid, Inventory, PciPath, PciPeer
from gpunode.topo.layout import Picture, Rect, near_groups, plan_picture
from gpunode.topo.links import describe_topology
from node_core.values import replace
from simulation.node import load_simulated_node
from simulation.scenarios.scenario import scenario_names
from tests.device_plugin.conftest import make_gpu
from tests.gpunode.topo.topologies import inventories, topology


def picture_of(inventory: Inventory) -> Picture:
    return plan_picture(describe_topology(inventory, {}))


def scenario(name: str) -> Inventory:
    return load_simulated_node(name).inventory_source().discover()


def overlap(one: Rect, other: Rect) -> bool:
    is_beside = one.right <= other.x or other.right <= one.x
    return not is_beside and one.y < other.bottom and other.y < one.bottom


def contains(outer: Rect, inner: Rect) -> bool:
    return outer.x <= inner.x and outer.y <= inner.y and inner.right <= outer.right and inner.bottom <= outer.bottom


def check(picture: Picture) -> None:
    page = Rect(x=picture.x, y=0, width=picture.width, height=picture.height)
    groups, boxes = [group.rect for group in picture.groups], [box.rect for box in picture.boxes]
    switches = [switch.rect for switch in picture.switches]
    assert all(contains(page, rect) for rect in (*groups, *switches))
    assert all(contains(group.rect, box.rect) for group in picture.groups for box in group.boxes)
    assert all(contains(box.rect, chip) for box in picture.boxes for chip in box.chips)
    for rects in ([*groups, *switches], boxes, *([*box.chips] for box in picture.boxes)):
        assert not any(overlap(one, other) for one, other in itertools.combinations(rects, 2))
    check_lines(picture, page)


def check_lines(picture: Picture, page: Rect) -> None:
    assert all(contains(page, link.rect) for link in picture.links)
    assert len({link.rect for link in picture.links}) == len(picture.links), "a link hides another one"
    verticals = [(each.x, each.ys[0], each.ys[-1]) for each in picture.brackets]
    assert all(page.x < x < page.right and page.y <= top < bottom <= page.bottom for x, top, bottom in verticals)
    for (x, top, bottom), (other_x, other_top, other_bottom) in itertools.combinations(verticals, 2):
        assert x != other_x or bottom < other_top or other_bottom < top, "two lines at one place"


@pytest.mark.parametrize("name", sorted(set(scenario_names()) - {"none"}))
def test_the_picture_of_a_scenario_is_clear(name: str) -> None:
    inventory = scenario(name)
    picture = picture_of(inventory)
    assert {box.gpu.uuid for box in picture.boxes} == {gpu.uuid for gpu in inventory.gpus}
    check(picture)


@given(inventories())
def test_the_picture_of_any_node_is_clear(inventory: Inventory) -> None:
    check(picture_of(inventory))


def test_gpus_are_grouped_by_numa_node_and_an_unknown_node_is_last() -> None:
    picture = plan_picture(topology(make_gpu(0), make_gpu(1, numa=1), make_gpu(2, numa=0), make_gpu(3, numa=1)))
    assert [(group.numa, [box.gpu.index for box in group.boxes]) for group in picture.groups] == [
        (0, [2]),
        (1, [1, 3]),
        (None, [0]),
    ]


def test_all_mig_devices_are_in_the_box_of_their_gpu() -> None:
    (box,) = plan_picture(topology(make_gpu(0, ["1g.10gb"] * 7))).boxes
    assert len(box.chips) == 7
    assert len({(chip.x, chip.y) for chip in box.chips}) == 7


def test_gpus_of_different_cliques_have_different_switches() -> None:
    gpus = [replace(gpu, fabric=Fabric(cluster_uuid="c", clique=gpu.index // 4)) for gpu in scenario("h100x8").gpus]
    picture = plan_picture(topology(*gpus))
    assert [[gpu.index for gpu, _ in switch.taps] for switch in picture.switches] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    check(picture)


def test_paths_of_a_numa_node_and_between_numa_nodes_are_not_drawn() -> None:
    assert near_groups(topology(*scenario("l40sx4").gpus)) == []


def test_a_group_of_a_path_contains_the_groups_of_nearer_paths() -> None:
    paths = {(0, 1): PciPath.SWITCH, (2, 3): PciPath.SWITCH, (0, 2): PciPath.HOST_BRIDGE, (4, 5): PciPath.SWITCHES}
    found = near_groups(topology(*(connected(index, paths) for index in range(6))))
    assert [(path, [gpu.index for gpu in gpus]) for path, gpus in found] == [
        (PciPath.SWITCH, [0, 1]),
        (PciPath.SWITCH, [2, 3]),
        (PciPath.SWITCHES, [4, 5]),
        (PciPath.HOST_BRIDGE, [0, 1, 2, 3]),
    ]


def connected(index: int, paths: Mapping[tuple[int, int], PciPath]) -> Gpu:
    peers = {sum(pair) - index: path for pair, path in paths.items() if index in pair}
    named = (PciPeer(gpu=GpuUuid(f"GPU-{other}"), path=path) for other, path in peers.items())
    return replace(make_gpu(index), pci_peers=tuple(named))
