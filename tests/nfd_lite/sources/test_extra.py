"""Labels beyond Node Feature Discovery's: off unless they are asked for."""

from collections.abc import Callable

import pytest

from nfd_lite.sources import Host, SourceSettings, collect
from nfd_lite.sources.api import PREFIX
from node_core.domain.labels import merge_collected
from node_core.host.cpuid_decode import CpuInfo
from node_core.host.root import HostRoot

LayOut = Callable[[dict[str, str]], HostRoot]
ON = SourceSettings(feature_sources=frozenset({"extra", "pci"}))
NET, PCI = "/sys/class/net", "/sys/bus/pci/devices"
FILES = {
    f"{NET}/eth0/device/driver": "-> ../../../../bus/pci/drivers/mlx5_core",
    f"{NET}/eth0/operstate": "up\n",
    f"{NET}/eth0/speed": "100000\n",
    f"{NET}/eth1/device/driver": "-> ../../../../bus/pci/drivers/ice",
    f"{NET}/eth1/operstate": "down\n",
    f"{NET}/eth1/speed": "-1\n",
    f"{NET}/lo/operstate": "unknown\n",
    **{f"{PCI}/0000:{bus}:00.0/{name}": text for bus, node in (("17", "0"), ("ca", "1"), ("e0", "-1"))
       for name, text in (("class", "0x030200\n"), ("vendor", "0x10de\n"), ("numa_node", f"{node}\n"))},
    "/sys/devices/system/cpu/amd_pstate/status": "active\n",
    "/sys/module/nvidia/version": "580.95.05\n",
    "/sys/fs/selinux/enforce": "0",
}  # fmt: skip


def labels(root: HostRoot, settings: SourceSettings = ON) -> dict[str, str]:
    host = Host(root=root, cpu=lambda _root: CpuInfo(arch="x86_64", how="nothing"))
    found = merge_collected(collect(host, settings).collected, {})
    return {key.removeprefix(PREFIX): value for key, value in found.items() if "extra-" in key}


def test_everything_that_the_host_says_of_these_is_a_label(lay_out: LayOut) -> None:
    assert labels(lay_out(FILES)) == {
        "extra-nic.driver.ice": "true",
        "extra-nic.driver.mlx5_core": "true",
        "extra-nic.speed": "100000",
        "extra-pci-0302_10de.numa": "0_1",
        "extra-nvidia-driver.loaded": "580.95.05",
        "extra-amd-pstate": "active",
        "extra-selinux": "permissive",
    }


def test_nothing_of_it_is_there_unless_it_is_asked_for(lay_out: LayOut) -> None:
    assert labels(lay_out(FILES), SourceSettings()) == {}


@pytest.mark.parametrize(
    ("file", "content", "gone"),
    [
        ("/sys/fs/selinux/enforce", "rubbish", "extra-selinux"),
        ("/sys/fs/selinux/enforce", "", "extra-selinux"),
        (f"{NET}/eth0/speed", "fast", "extra-nic.speed"),
        ("/sys/devices/system/cpu/amd_pstate/status", "", "extra-amd-pstate"),
    ],
)
def test_rubbish_is_no_label_and_costs_no_other(lay_out: LayOut, file: str, content: str, gone: str) -> None:
    found = labels(lay_out({**FILES, file: content}))
    assert gone not in found
    assert len(found) == 6


def test_a_host_without_any_of_it_has_none_of_it(lay_out: LayOut) -> None:
    assert labels(lay_out({"/proc/": ""})) == {}
