"""The sources of labels: exact files, simulated and real GPUs, and GPUs without NVML."""

import json
from pathlib import Path

import pytest

from gpunode.labels.host_files import METHODS, find_exact_source
from nfd_lite.cpu.cpuid_decode import CpuInfo
from nfd_lite.sources import Host, SourceSettings
from node_core.host.root import HostRoot
from tests.gpunode.labels.answers import PREFIX
from tests.gpunode.labels.conftest import Show
from tests.nfd_lite.conftest import load_host

DEVICES = "sys/bus/pci/devices"


def sources(show: Show, *arguments: str, **options: str | Path | None) -> dict[str, str]:
    labels = json.loads(show(*arguments, "-o", "json", **options).stdout)["labels"]
    return {each["key"]: each["source"] for each in labels}


def test_pci_labels_of_simulated_gpus_are_marked_and_those_of_real_ones_are_not(show: Show) -> None:
    found = sources(show, host="icelake-sriov")
    assert found[f"{PREFIX}pci-0302_10de.present"] == f"/{DEVICES}/*/class, vendor and other ids, simulated"
    assert found[f"{PREFIX}pci-0300_1a03.present"] == f"/{DEVICES}/*/class, vendor and other ids"
    assert found["nvidia.com/gpu.present"].endswith(", simulated")
    assert found["nvidia.com/gpu.machine"] == "/sys/class/dmi/id/product_name"


def test_gpus_for_virtual_machines_have_no_nvml(show: Show, tmp_path: Path) -> None:
    root = load_host("xeon-h100", tmp_path / "host").root.base
    for vendor in (root / DEVICES).glob("*/vendor"):
        if vendor.read_text().strip() == "0x10de":
            (vendor.parent / "driver").unlink(missing_ok=True)
            (vendor.parent / "driver").symlink_to("../../../bus/pci/drivers/vfio-pci")
    found = sources(show, "--device-discovery-strategy", "vfio", host=root, simulate=None)
    assert found["nvidia.com/gpu.product"] == "/sys/bus/pci/devices, GPUs with the driver vfio-pci"
    assert found["nvidia.com/gpu.mode"] == f"/{DEVICES}/*/class"
    assert not any("nvml" in each for each in found.values() if "sharing" not in each)


@pytest.mark.parametrize("method", METHODS)
def test_the_source_of_processor_flags_is_how_they_were_read(method: str, tmp_path: Path) -> None:
    host = Host(root=HostRoot(tmp_path), cpu=lambda _: CpuInfo(arch="x86_64", method=method))
    assert find_exact_source("cpu.cpuid", "the processor", host, SourceSettings()) == METHODS[method]
    assert find_exact_source("cpu.model", "CPUID, or DMI", host, SourceSettings()) is None
    assert find_exact_source("memory.swap", "/proc/swaps", host, SourceSettings()) is None


def test_of_several_files_the_one_that_was_read_is_the_source(tmp_path: Path) -> None:
    host = Host(root=HostRoot(tmp_path), cpu=lambda _: CpuInfo(arch="x86_64", method="test"))

    def find() -> str | None:
        return find_exact_source("system.osrelease", "one of several", host, SourceSettings())

    assert find() is None
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/os-release").write_text("ID=a\n")
    assert find() == "/usr/lib/os-release"
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text("ID=b\n")
    assert find() == "/etc/os-release"
