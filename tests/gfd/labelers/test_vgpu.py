"""The labels of vGPUs."""

from gfd.labelers import vgpu
from gpu_core.host.pci_config import Vgpu, VgpuScan
from tests.gfd.labelers.inventories import address


def test_vgpus_are_labelled_with_the_driver_of_their_host() -> None:
    first = Vgpu(address=address(1), version="460.16", branch="r460_00")
    other = Vgpu(address=address(2), version="535.1", branch="r535_00")
    without_host = Vgpu(address=address(3))
    host = {"nvidia.com/vgpu.host-driver-version": "460.16", "nvidia.com/vgpu.host-driver-branch": "r460_00"}
    assert vgpu.labels(VgpuScan()) == {"nvidia.com/vgpu.present": "false"}
    assert vgpu.labels(VgpuScan(vgpus=(first,))) == {"nvidia.com/vgpu.present": "true", **host}
    assert vgpu.labels(VgpuScan(vgpus=(other, first, without_host))) == {"nvidia.com/vgpu.present": "true", **host}
    assert vgpu.labels(VgpuScan(vgpus=(without_host,), unreadable=(address(1),))) == {"nvidia.com/vgpu.present": "true"}
    assert vgpu.labels(VgpuScan(unreadable=(address(1),))) == {}
