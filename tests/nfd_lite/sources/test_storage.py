"""The storage source."""

import pytest

from tests.nfd_lite.sources.scans import LayOut, scan

LABEL = "storage-nonrotationaldisk"


def block(name: str, rotational: str, *, device: bool = True, size: str | None = "1000") -> dict[str, str]:
    """The files of a block device. device: the kernel links it to a device of a bus."""
    folder = f"/sys/block/{name}"
    files = {f"{folder}/queue/rotational": f"{rotational}\n", **({f"{folder}/device/": ""} if device else {})}
    return files if size is None else files | {f"{folder}/size": f"{size}\n"}


@pytest.mark.parametrize("name", ["sda", "vda", "xvda", "nvme0n1", "nvme0c0n1", "mmcblk0", "pmem0"])
def test_one_nonrotational_disk_is_enough(name: str, lay_out: LayOut) -> None:
    assert scan(lay_out(block("sdz", "1") | block(name, "0")))[1] == {LABEL: "true"}


@pytest.mark.parametrize("name", ["loop0", "ram0", "zram0", "dm-0", "md127", "nbd0", "zd0"])
def test_a_device_that_belongs_to_no_hardware_is_not_a_disk(name: str, lay_out: LayOut) -> None:
    assert scan(lay_out(block("sda", "1") | block(name, "0", device=False)))[1] == {}


@pytest.mark.parametrize("name", ["sr0", "sr12", "fd0", "mtdblock0", "rbd0"])
def test_optical_drives_floppies_flash_and_remote_volumes_are_not_disks(name: str, lay_out: LayOut) -> None:
    assert scan(lay_out(block("sda", "1") | block(name, "0")))[1] == {}


@pytest.mark.parametrize(("size", "labels"), [("0", {}), (None, {LABEL: "true"})])
def test_a_card_reader_without_a_card_is_not_a_disk(size: str | None, labels: dict[str, str], lay_out: LayOut) -> None:
    assert scan(lay_out(block("sdb", "0", size=size)))[1] == labels


def test_rotational_disks_alone_and_hosts_without_disks_have_no_label(lay_out: LayOut) -> None:
    assert scan(lay_out({}))[1] == {}
    assert scan(lay_out(block("sda", "1")))[1] == {}


def test_rules_see_every_block_device_and_which_are_disks(lay_out: LayOut) -> None:
    features, _ = scan(lay_out(block("sda", "1") | block("loop0", "0", device=False)))
    assert features.instances["storage.block"] == (
        {"name": "loop0", "rotational": "0"},
        {"name": "sda", "rotational": "1", "disk": "true"},
    )
