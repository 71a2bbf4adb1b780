"""The label nvidia.com/gpu.deploy.driver=pre-installed."""

import os
from collections.abc import Callable

import pytest

from nfd_lite.cpu.cpuid_decode import CpuInfo
from nfd_lite.sources import Collection, Host, SourceSettings, collect
from node_core.domain.desired import merge_labels
from node_core.host.root import HostRoot

LayOut = Callable[[dict[str, str]], HostRoot]
KEY = "nvidia.com/gpu.deploy.driver"
IDS = {
    "class": "0x030200",
    "vendor": "0x10de",
    "device": "0x2330",
    "subsystem_vendor": "0x10de",
    "subsystem_device": "0x16c1",
}
GPU = {f"/sys/bus/pci/devices/0000:01:00.0/{name}": number for name, number in IDS.items()}
NO_GPU = {"/sys/bus/pci/devices/": ""}
DRIVER = {"/usr/lib64/libnvidia-ml.so.1": "", "/usr/bin/nvidia-smi": ""}


def scan(root: HostRoot, *, enabled: bool = True) -> Collection:
    host = Host(root=root, cpu=lambda _root: CpuInfo(arch="x86_64", method="nothing"))
    return collect(host, SourceSettings(labels_driver=enabled))


@pytest.mark.parametrize(
    ("files", "labels"),
    [
        ({**GPU, **DRIVER}, {"nvidia.com/gpu.present": "true", KEY: "pre-installed"}),
        (GPU, {"nvidia.com/gpu.present": "true"}),
        ({**NO_GPU, **DRIVER}, {}),
        ({**GPU, "/sys/module/nvidia/version": "570.1"}, {"nvidia.com/gpu.present": "true"}),
    ],
    ids=["a GPU and a driver", "no driver", "no GPU", "the module of a driver container"],
)
def test_only_a_node_with_a_gpu_and_a_driver_of_the_host_has_the_label(
    lay_out: LayOut, files: dict[str, str], labels: dict[str, str]
) -> None:
    found = merge_labels(scan(lay_out(files)).results, {KEY: "pre-installed"})
    assert {key: value for key, value in found.items() if key.startswith("nvidia.com/")} == labels


def test_without_the_flag_there_is_no_label(lay_out: LayOut) -> None:
    assert KEY not in merge_labels(scan(lay_out({**GPU, **DRIVER}), enabled=False).results, {KEY: "pre-installed"})


def test_an_error_removes_no_label_and_is_reported(lay_out: LayOut) -> None:
    root = lay_out(GPU)
    root.path("/usr").symlink_to("x" * (os.pathconf(root.base, "PC_NAME_MAX") + 1))
    collection = scan(root)
    assert merge_labels(collection.results, {KEY: "pre-installed"})[KEY] == "pre-installed"
    assert KEY not in merge_labels(collection.results, {})
    assert "cannot examine" in collection.errors["gpu.deploy.driver"]


def test_gpus_that_cannot_be_read_leave_the_label(lay_out: LayOut) -> None:
    root = lay_out({"/sys/bus/pci/devices": "not a folder", **DRIVER})
    root.path("/sys/bus/pci/devices").unlink()
    root.path("/sys/bus/pci/devices").symlink_to("x" * (os.pathconf(root.base, "PC_NAME_MAX") + 1))
    assert merge_labels(scan(root).results, {KEY: "pre-installed"})[KEY] == "pre-installed"
