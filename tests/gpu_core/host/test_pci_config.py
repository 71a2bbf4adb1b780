"""Detecting vGPUs in valid and broken PCI configuration spaces."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_core.host.pci_config import CONFIG_SIZE, Vgpu, VgpuScan, parse_vgpu, read_vgpus
from node_core.domain.pci import PciAddress
from node_core.errors import HostReadError
from node_core.host.root import HostRoot

AT = PciAddress("0000:02:00.0")
DRIVER = b"460.16".ljust(10, b"\0") + b"r460_00".ljust(10, b"\0")
RECORD = bytes((0, 22)) + DRIVER
VGPU = Vgpu(address=AT, version="460.16", branch="r460_00")
SILENT = Vgpu(address=AT)


def space(*capabilities: tuple[int, bytes], first: int | None = None, status: int = 0x10) -> bytes:
    """A configuration space with these (offset, bytes). The capability list starts at the first offset."""
    config = bytearray(CONFIG_SIZE)
    config[0x06] = status
    config[0x34] = first if first is not None else capabilities[0][0] if capabilities else 0
    for offset, content in capabilities:
        config[offset : offset + len(content)] = content
    return bytes(config[:CONFIG_SIZE])


def vendor(records: bytes, *, following: int = 0, length: int | None = None, signature: bytes = b"VF") -> bytes:
    """A vendor-specific capability."""
    size = 5 + len(records) if length is None else length
    return bytes((0x09, following, size)) + signature + records


def test_a_vgpu_reports_the_driver_of_its_host() -> None:
    capability = vendor(RECORD)
    assert len(capability) == 27
    assert parse_vgpu(AT, space((0xD0, capability))) == VGPU


def test_other_capabilities_and_records_are_skipped() -> None:
    skipped = bytes((7, 4, 1, 1)) + bytes((9, 2))
    power, other = bytes((0x01, 0x50)), vendor(b"", following=0x80, signature=b"XX")
    config = space((0x40, power), (0x50, other), (0x80, vendor(skipped + RECORD)))
    assert parse_vgpu(AT, config) == VGPU


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(space(), id="no capabilities"),
        pytest.param(space((0xD0, vendor(RECORD)), status=0), id="no capability list"),
        pytest.param(space((0xD0, vendor(RECORD, signature=b"XX"))), id="another vendor capability"),
        pytest.param(space((0xD0, vendor(RECORD, length=4))), id="too short for a signature"),
        pytest.param(space((0xD0, vendor(RECORD, length=0))), id="of no length"),
        pytest.param(space((0x10, vendor(RECORD))), id="list inside the header"),
        pytest.param(space((0x40, bytes((1, 0x50))), (0x50, bytes((5, 0x40)))), id="a loop"),
        pytest.param(space((0x40, bytes((1, 0x40)))), id="a loop of one"),
        pytest.param(space((0x40, bytes((0xFF, 0xD0))), (0xD0, vendor(RECORD)), first=0x40), id="nothing there"),
        pytest.param(space((0xFC, bytes((9, 0, 27)))), id="at the very end"),
        pytest.param(b"\xff" * CONFIG_SIZE, id="a board that is asleep"),
        pytest.param(space((0xD0, vendor(RECORD)))[:64], id="only the header"),
        pytest.param(b"", id="nothing at all"),
    ],
)
def test_a_gpu_that_is_not_virtual_is_none(config: bytes) -> None:
    assert parse_vgpu(AT, config) is None


@pytest.mark.parametrize(
    "records",
    [
        pytest.param(b"", id="no records"),
        pytest.param(bytes((7, 0)) + RECORD, id="a record of no length"),
        pytest.param(bytes((7, 1)) + RECORD, id="a record shorter than its head"),
        pytest.param(bytes((7, 255)) + RECORD, id="a record beyond the end"),
        pytest.param(RECORD[:-1], id="half a host record"),
        pytest.param(bytes((7,)), id="half a head"),
    ],
)
def test_a_vgpu_with_broken_records_has_no_host_driver(records: bytes) -> None:
    assert parse_vgpu(AT, space((0xC0, vendor(records)))) == SILENT


def test_a_capability_is_cut_at_the_end_of_the_configuration_space() -> None:
    assert parse_vgpu(AT, space((0xE0, vendor(RECORD, length=255)))) == VGPU
    assert parse_vgpu(AT, space((0xF0, vendor(RECORD, length=27)))) == SILENT


@given(st.binary(max_size=CONFIG_SIZE), st.integers(0, 255))
def test_any_bytes_can_be_parsed(noise: bytes, first: int) -> None:
    config = bytearray(noise.ljust(CONFIG_SIZE, b"\x09"))
    config[0x06], config[0x34] = 0x10, first
    found = parse_vgpu(AT, bytes(config))
    assert found is None or (len(found.version) <= 10 and len(found.branch) <= 10)


def board(root: Path, address: str, config: bytes, **changes: str) -> Path:
    folder = root / "sys/bus/pci/devices" / address
    folder.mkdir(parents=True)
    ids = {"class": "0x030200", "vendor": "0x10de", "device": "0x1eb8"}
    for name, text in {**ids, "subsystem_vendor": "0x10de", "subsystem_device": "0x12a2", **changes}.items():
        (folder / name).write_text(f"{text}\n")
    (folder / "config").write_bytes(config)
    return folder


def test_only_nvidia_gpus_are_read(tmp_path: Path) -> None:
    virtual = space((0xD0, vendor(RECORD)))
    board(tmp_path, "0000:01:00.0", space())
    board(tmp_path, "0000:02:00.0", virtual)
    board(tmp_path, "0000:02:00.1", virtual, **{"class": "0x040300"})
    board(tmp_path, "0000:03:00.0", virtual, vendor="0x1002")
    assert read_vgpus(HostRoot(tmp_path)) == VgpuScan(vgpus=(VGPU,))


def test_a_gpu_that_shows_only_its_header_is_unreadable(tmp_path: Path) -> None:
    board(tmp_path, "0000:02:00.0", space((0xD0, vendor(RECORD)))[:64])
    assert read_vgpus(HostRoot(tmp_path)) == VgpuScan(unreadable=(AT,))
    (tmp_path / "sys/bus/pci/devices/0000:02:00.0/config").unlink()
    assert read_vgpus(HostRoot(tmp_path)) == VgpuScan(unreadable=(AT,))


def test_a_host_without_pci_has_no_vgpus_and_without_sysfs_that_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(HostReadError, match="/sys is empty"):
        read_vgpus(HostRoot(tmp_path))
    (tmp_path / "sys/class").mkdir(parents=True)
    assert read_vgpus(HostRoot(tmp_path)) == VgpuScan()


def test_an_unreadable_configuration_space_is_an_error(tmp_path: Path) -> None:
    folder = board(tmp_path, "0000:02:00.0", b"")
    (folder / "config").unlink()
    (folder / "config").mkdir()
    with pytest.raises(HostReadError, match="config"):
        read_vgpus(HostRoot(tmp_path))


def test_a_broken_board_is_an_error_only_if_it_may_be_an_nvidia_gpu(tmp_path: Path) -> None:
    board(tmp_path, "0000:02:00.0", space((0xD0, vendor(RECORD))))
    board(tmp_path, "0000:03:00.0", b"", vendor="0x8086", device="none")
    assert read_vgpus(HostRoot(tmp_path)) == VgpuScan(vgpus=(VGPU,))
    board(tmp_path, "0000:04:00.0", b"", device="none")
    with pytest.raises(HostReadError, match=r"0000:04:00\.0/device contains"):
        read_vgpus(HostRoot(tmp_path))
