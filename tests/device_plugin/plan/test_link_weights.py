"""Weights of links by NVLink, NVSwitch, PCI and NUMA."""

import pytest

from device_plugin.plan.link_weights import PATH_WEIGHTS, pair_weight, weigh_links
from gpu_core.domain.inventory import Fabric, Gpu, GpuUuid, PciPath, PciPeer
from node_core.values import replace
from tests.device_plugin.conftest import make_gpu

ONE = Fabric(cluster_uuid="4f1a6d7e-93b2-4c58-8e0d-2ba71c9f5d63", clique=1)
TWO = replace(ONE, clique=2)


def near(index: int, other: int, path: PciPath) -> Gpu:
    return replace(make_gpu(index), pci_peers=(PciPeer(gpu=GpuUuid(f"GPU-{other}"), path=path),))


@pytest.mark.parametrize("path", PciPath)
def test_a_shorter_pci_path_has_a_higher_weight(path: PciPath) -> None:
    weight = pair_weight(near(0, 1, path), near(1, 0, path))
    assert weight == PATH_WEIGHTS[path]
    assert all(PATH_WEIGHTS[other] < weight for other in list(PciPath)[list(PciPath).index(path) + 1 :])


@pytest.mark.parametrize(("one", "other", "weight"), [(0, 0, 20), (0, 1, 10), (None, None, 10), (None, 0, 10)], ids=str)
def test_without_a_path_from_the_driver_the_numa_nodes_decide(one: int | None, other: int | None, weight: int) -> None:
    assert pair_weight(make_gpu(0, numa=one), make_gpu(1, numa=other)) == weight


def test_one_nvlink_has_a_higher_weight_than_any_pci_path() -> None:
    linked = pair_weight(make_gpu(0, links={1: 1}), make_gpu(1, links={0: 1}))
    assert linked == 110
    assert linked > max(PATH_WEIGHTS.values())


def test_links_count_even_if_one_end_cannot_be_read() -> None:
    assert pair_weight(make_gpu(0, links={1: 4}), make_gpu(1)) == 410


@pytest.mark.parametrize(
    ("links", "fabrics", "weight"),
    [
        ((18, 18), (None, None), 1810),
        ((18, 12), (ONE, ONE), 1210),
        ((18, 18), (ONE, TWO), 10),
        ((18, 0), (None, None), 10),
    ],
    ids=["all", "some links are down", "apart", "no switch"],
)
def test_gpus_on_the_same_nvswitches_are_linked(
    links: tuple[int, int], fabrics: tuple[Fabric | None, Fabric | None], weight: int
) -> None:
    gpus = (replace(make_gpu(at), switch_links=links[at], fabric=fabrics[at]) for at in (0, 1))
    assert pair_weight(*gpus) == weight


def test_weights_are_complete_and_symmetric() -> None:
    found = weigh_links([make_gpu(0, links={2: 2}), make_gpu(1, numa=0), make_gpu(2, numa=0)])
    assert found == {
        "GPU-0": {"GPU-1": 10, "GPU-2": 210},
        "GPU-1": {"GPU-0": 10, "GPU-2": 20},
        "GPU-2": {"GPU-0": 210, "GPU-1": 20},
    }
