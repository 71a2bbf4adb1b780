"""The label nvidia.com/gpu.present."""

from collections.abc import Callable

import pytest

from nfd_lite.cpu.cpuid_decode import CpuInfo
from nfd_lite.gpu_present import gpu_present
from nfd_lite.sources import Host, SourceSettings, collect
from node_core.domain.desired import merge_labels
from node_core.domain.features import Features
from node_core.host.root import HostRoot

LayOut = Callable[[dict[str, str]], HostRoot]


@pytest.mark.parametrize(
    ("vendor", "pci_class", "present"),
    [
        ("10de", "0302", True),
        ("10de", "0300", True),
        ("10de", "0680", False),
        ("10de", "0403", False),
        ("1a03", "0300", False),
    ],
    ids=["3D controller", "VGA", "NVSwitch", "audio function", "a BMC's VGA"],
)
def test_only_nvidia_display_controllers_are_gpus(vendor: str, pci_class: str, *, present: bool) -> None:
    features = Features(instances={"pci.device": ({"class": pci_class, "vendor": vendor},)})
    assert gpu_present(features) == ({"nvidia.com/gpu.present": "true"} if present else {})


def test_a_host_without_pci_has_a_gpu_only_off_pci() -> None:
    assert gpu_present(Features()) == {}
    assert gpu_present(Features(), off_pci=True) == {"nvidia.com/gpu.present": "true"}


@pytest.mark.parametrize(
    ("files", "present"),
    [
        ({"/etc/nv_tegra_release": "# R36"}, True),
        ({"/sys/devices/soc0/family": "Tegra"}, True),
        ({"/dev/dxg": "", "/usr/lib/wsl/lib/libnvidia-ml.so.1": ""}, True),
        ({"/dev/dxg": ""}, False),
        ({"/sys/devices/soc0/family": "Freescale i.MX"}, False),
    ],
    ids=["Jetson", "Jetson by its SoC", "WSL", "WSL with another GPU", "another SoC"],
)
def test_gpus_off_pci_are_detected(lay_out: LayOut, files: dict[str, str], *, present: bool) -> None:
    host = Host(
        root=lay_out({"/sys/bus/pci/devices/": "", **files}),
        cpu=lambda _root: CpuInfo(arch="aarch64", method="nothing"),
    )
    labels = merge_labels(collect(host, SourceSettings()).results, {})
    assert ("nvidia.com/gpu.present" in labels) == present
