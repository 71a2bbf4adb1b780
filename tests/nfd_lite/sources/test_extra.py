"""Labels that Node Feature Discovery does not have. Off by default."""

from collections.abc import Callable

import pytest

from nfd_lite.cpu.cpuid_decode import CpuInfo
from nfd_lite.label_keys import PREFIX
from nfd_lite.sources import Host, SourceSettings, collect
from node_core.domain.desired import merge_labels
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
    host = Host(root=root, cpu=lambda _root: CpuInfo(arch="x86_64", method="nothing"))
    found = merge_labels(collect(host, settings).results, {})
    return {key.removeprefix(PREFIX): value for key, value in found.items() if "extra-" in key}


def test_all_extra_facts_of_a_host_are_labels(lay_out: LayOut) -> None:
    assert labels(lay_out(FILES)) == {
        "extra-nic.driver.ice": "true",
        "extra-nic.driver.mlx5_core": "true",
        "extra-nic.speed": "100000",
        "extra-pci-0302_10de.numa": "0_1",
        "extra-nvidia-driver.loaded": "580.95.05",
        "extra-amd-pstate": "active",
        "extra-selinux": "permissive",
    }


def test_the_extra_source_is_off_by_default(lay_out: LayOut) -> None:
    assert labels(lay_out(FILES), SourceSettings()) == {}


@pytest.mark.parametrize(
    ("file", "content", "missing"),
    [
        ("/sys/fs/selinux/enforce", "rubbish", "extra-selinux"),
        ("/sys/fs/selinux/enforce", "", "extra-selinux"),
        (f"{NET}/eth0/speed", "fast", "extra-nic.speed"),
        (f"{NET}/eth0/speed", "9" * 5000, "extra-nic.speed"),
        ("/sys/devices/system/cpu/amd_pstate/status", "", "extra-amd-pstate"),
    ],
)
def test_invalid_content_is_not_a_label_and_affects_no_other_label(
    lay_out: LayOut, file: str, content: str, missing: str
) -> None:
    found = labels(lay_out({**FILES, file: content}))
    assert missing not in found
    assert len(found) == 6


def test_a_host_without_these_files_has_no_extra_labels(lay_out: LayOut) -> None:
    assert labels(lay_out({"/proc/": ""})) == {}


@pytest.mark.parametrize("node", ["9" * 5000, "\u0663", "-1", ""], ids=["long", "not ascii", "none", "empty"])
def test_a_numa_node_that_is_not_a_number_has_no_label(node: str, lay_out: LayOut) -> None:
    ids = {f"{PCI}/0000:17:00.0/class": "0x030200\n", f"{PCI}/0000:17:00.0/vendor": "0x10DE\n"}
    assert labels(lay_out({**ids, f"{PCI}/0000:17:00.0/numa_node": node})) == {}
    assert labels(lay_out({**ids, f"{PCI}/0000:17:00.0/numa_node": "1"})) == {"extra-pci-0302_10de.numa": "1"}
