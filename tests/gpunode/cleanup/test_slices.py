import copy

import pytest

from dra_driver.devices.collect import devices_of
from dra_driver.slices.api import SliceApi
from dra_driver.slices.publisher import Pool
from gpunode.cleanup.node import remove_slices
from tests.dra_driver.devices.gpus import gpu, inventory
from tests.dra_driver.slices.server import SliceServer
from tests.dra_driver.slices.test_publisher import Publishing


def test_cleanup_deletes_the_slices_of_the_driver_and_no_others() -> None:
    server = SliceServer()
    Publishing(server).desire(Pool(devices=devices_of(inventory(gpu()))))
    (own,) = server.slices
    of_nvidia = copy.deepcopy(server.slices[own])
    of_nvidia["metadata"]["name"] = "n1-gpu.nvidia.com-x7k2p"
    server.slices["n1-gpu.nvidia.com-x7k2p"] = of_nvidia
    assert remove_slices(SliceApi(server))
    assert list(server.slices) == ["n1-gpu.nvidia.com-x7k2p"]
    assert not remove_slices(SliceApi(server))


@pytest.mark.parametrize("served", [(), ("v1alpha3",)])
def test_a_cluster_without_the_kind_has_no_slices(served: tuple[str, ...]) -> None:
    assert not remove_slices(SliceApi(SliceServer(served=served)))
