from dra_driver.devices.nvlink import nvlink_groups
from gpu_core.domain.inventory import Fabric, Gpu, NvLinkPeer
from node_core.domain.pci import PciAddress
from tests.dra_driver.devices.gpus import gpu


def linked(index: int, *peers: int) -> Gpu:
    return gpu(index, peers=tuple(NvLinkPeer(address=PciAddress(f"0000:{peer:02x}:00.0"), links=4) for peer in peers))


def groups(*gpus: Gpu) -> list[str | None]:
    found = nvlink_groups(gpus)
    return [found.get(each.uuid) for each in gpus]


def test_gpus_without_nvlinks_have_no_group() -> None:
    assert groups(gpu(0), gpu(1)) == [None, None]


def test_gpus_on_a_switch_are_one_group() -> None:
    assert groups(gpu(0), *(gpu(index, switch_links=18) for index in (1, 2, 3))) == [None, "gpu-1", "gpu-1", "gpu-1"]


def test_pairs_of_gpus_are_groups() -> None:
    assert groups(linked(0, 1), linked(1, 0), linked(2, 3), linked(3, 2)) == ["gpu-0", "gpu-0", "gpu-2", "gpu-2"]


def test_a_chain_of_links_is_one_group() -> None:
    assert groups(linked(0, 2), linked(1, 3), linked(2, 3), linked(3, 1)) == ["gpu-0", "gpu-0", "gpu-0", "gpu-0"]


def test_a_link_to_a_gpu_that_is_not_read_still_makes_a_group() -> None:
    assert groups(linked(0, 7), gpu(1)) == ["gpu-0", None]


def test_a_fabric_is_a_group_of_several_nodes() -> None:
    assert groups(gpu(0, fabric=Fabric(cluster_uuid="c-1", clique=3))) == ["c-1.3"]
