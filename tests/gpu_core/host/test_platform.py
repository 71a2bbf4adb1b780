"""Detecting the kind of machine, and whether a machine may have GPUs."""

from pathlib import Path

import pytest

from gpu_core.domain.inventory import Platform
from gpu_core.host.platform import (
    DXG,
    SOC_FAMILY,
    TEGRA_RELEASE,
    choose_platform,
    is_integrated,
    is_tegra,
    is_wsl,
    may_have_gpus,
)
from node_core.errors import HostReadError
from node_core.host.root import HostRoot


def put(root: Path, path: str, content: str = "") -> HostRoot:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return HostRoot(root)


@pytest.mark.parametrize(
    ("model", "integrated"),
    [
        ("Orin (nvgpu)", True),
        ("NVIDIA Thor", True),
        ("NVIDIA GB10", False),
        ("NVIDIA RTX A6000", False),
        ("NVIDIA T1000", False),
        ("", False),
    ],
)
def test_the_name_shows_whether_a_gpu_is_integrated(model: str, integrated: bool) -> None:
    assert is_integrated(model) is integrated


@pytest.mark.parametrize(
    ("models", "wsl", "platform"),
    [
        ((), False, Platform.NVML),
        (("Tesla T4",), False, Platform.NVML),
        (("Orin (nvgpu)",), False, Platform.TEGRA),
        (("Orin (nvgpu)", "NVIDIA RTX A6000"), False, Platform.NVML),
        (("Tesla T4",), True, Platform.WSL),
        ((), True, Platform.WSL),
    ],
    ids=str,
)
def test_the_platform_depends_on_the_names_and_on_wsl(models: tuple[str, ...], wsl: bool, platform: Platform) -> None:
    assert choose_platform(models, wsl=wsl) is platform


@pytest.mark.parametrize(
    ("path", "content", "tegra"),
    [
        (TEGRA_RELEASE, "# R36 (release), REVISION: 4.3\n", True),
        (TEGRA_RELEASE, "", True),
        (SOC_FAMILY, "Tegra\n", True),
        (SOC_FAMILY, "tegra234\n", True),
        (SOC_FAMILY, "MediaTek\n", False),
        (SOC_FAMILY, "\0\xff", False),
        ("/etc/os-release", "", False),
    ],
)
def test_a_tegra_is_detected_by_its_release_file_or_its_soc(
    path: str, content: str, tegra: bool, tmp_path: Path
) -> None:
    assert is_tegra(put(tmp_path, path, content)) is tegra


def test_an_unreadable_soc_family_is_an_error(tmp_path: Path) -> None:
    put(tmp_path, f"{SOC_FAMILY}/x")
    with pytest.raises(HostReadError, match="soc0"):
        is_tegra(HostRoot(tmp_path))


def test_wsl_is_detected_by_its_device(tmp_path: Path) -> None:
    assert not is_wsl(HostRoot(tmp_path))
    assert is_wsl(put(tmp_path, DXG))


GPU = {
    "class": "0x030200",
    "vendor": "0x10de",
    "device": "0x2330",
    "subsystem_vendor": "0x10de",
    "subsystem_device": "0x16c1",
}


@pytest.mark.parametrize(
    ("files", "may"),
    [
        ({}, True),
        ({"/sys/kernel/x": ""}, False),
        ({f"/sys/bus/pci/devices/0000:01:00.0/{name}": text for name, text in GPU.items()}, True),
        ({"/sys/kernel/x": "", DXG: ""}, True),
        ({"/sys/kernel/x": "", TEGRA_RELEASE: ""}, True),
        ({SOC_FAMILY: "tegra"}, True),
        ({f"{SOC_FAMILY}/x": ""}, True),
    ],
    ids=["no sysfs", "no GPU", "on PCI", "WSL", "Tegra release", "Tegra SoC", "unreadable SoC"],
)
def test_only_a_machine_whose_pci_bus_lists_all_gpus_can_have_none(
    files: dict[str, str], may: bool, tmp_path: Path
) -> None:
    for path, content in files.items():
        put(tmp_path, path, content)
    assert may_have_gpus(HostRoot(tmp_path)) is may
