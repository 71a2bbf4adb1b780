"""Parsing Xids in the kernel log: every form that drivers write, and no lines of other processes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_core.domain.evidence import XidEvent
from gpu_core.host.xid_lines import parse_guid, parse_record, parse_xid
from node_core.domain.pci import PciAddress

ADDRESS = PciAddress("0000:3b:00.0")
GUID = "GPU-b850f46d-d5ea-c752-ddf3-c4453e44d3f7"


def xid(number: int, address: str = ADDRESS, *, gi: int | None = None, ci: int | None = None) -> XidEvent:
    return XidEvent(xid=number, address=PciAddress(address), gpu_instance=gi, compute_instance=ci, source="kernel log")


LINES = {
    "lost": ("NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, name=python, GPU has fallen off the bus.", xid(79)),
    "unknown process": (
        "NVRM: Xid (PCI:0000:3b:00): 94, pid='<unknown>', name=<unknown>, Contained: SM (0x1). RST: No, D-RST: No",
        xid(94),
    ),
    "without process": ("NVRM: Xid (PCI:0000:3b:00): 119, Timeout after 6s of waiting for RPC response", xid(119)),
    "old": ("NVRM: Xid (0000:3b:00): 14, Channel 00000001", xid(14)),
    "capitals": ("NVRM: Xid (PCI:0000:3B:00): 31, Ch 00000003, engmask 00000101", xid(31)),
    "large domain": ("NVRM: Xid (PCI:00010000:01:00): 48, DBE", xid(48, "10000:01:00.0")),
    "domain": ("NVRM: Xid (PCI:0008:01:00): 48, DBE", xid(48, "0008:01:00.0")),
    "function": ("NVRM: Xid (PCI:0000:3b:00.1): 62, 0000", xid(62, "0000:3b:00.1")),
    "gpu instance": ("NVRM: Xid (PCI:0000:3b:00 GPU-I:05): 94, pid=7194, Contained: CE (0x9)", xid(94, gi=5)),
    "compute instance": ("NVRM: Xid (PCI:0000:3b:00 GPU-I:13 GPU-CI:00): 43, pid=1, Ch 8", xid(43, gi=13, ci=0)),
    "instance with a new form": ("NVRM: Xid (PCI:0000:3b:00 GPU-I:9999): 79", xid(79)),
    "more words": ("NVRM: Xid (PCI:0000:3b:00 VF:2 GPU-I:05 x): 94, pid=7194", xid(94, gi=5)),
    "number alone": ("NVRM: Xid (PCI:0000:3b:00): 109", xid(109)),
    "three numbers": ("NVRM: Xid (PCI:0000:3b:00): 144, NVLINK: SAW", xid(144)),
    "fallen without Xid": (
        "NVRM: The NVIDIA GPU 0000:3b:00.0\\x0aNVRM: (PCI ID: 10de:26b5) installed in this system has\\x0aNVRM: fallen off the bus",
        xid(79),
    ),
}


@pytest.mark.parametrize("form", LINES)
def test_every_form_of_an_xid_line_is_parsed(form: str) -> None:
    line, event = LINES[form]
    assert parse_xid(line) == event


@pytest.mark.parametrize(
    "line",
    [
        "",
        "NVRM: Xid",
        "NVRM: Xid (PCI:0000:3b:00):",
        "NVRM: Xid (PCI:0000:3b:00): x",
        "NVRM: Xid (PCI:0000:3b:00): 0, nothing",
        "NVRM: Xid (PCI:0000:3b:00): 9999999999, too large",
        "NVRM: Xid (PCI:3b): 79",
        "NVRM: Xid (PCI:0000:3g:00): 79",
        "NVRM: loading NVIDIA UNIX x86_64 Kernel Module  535.183.01",
        "NVRM: GPU 0000:3b:00.0: RmInitAdapter failed! (0x22:0x56:894)",
        f"NVRM: GPU at PCI:0000:3b:00: {GUID}",
        "nvidia-nvswitch0: SXid (PCI:0000:c1:00.0): 20034, Fatal, Link 30 LTSSM Fault Up",
        "python[12]: NVRM: Xid (PCI:0000:3b:00): 79, printed by a program",
        " NVRM: Xid (PCI:0000:3b:00): 79",
    ],
)
def test_other_lines_contain_no_xid(line: str) -> None:
    assert parse_xid(line) is None


def test_a_process_name_cannot_forge_an_xid() -> None:
    line = "NVRM: Xid (PCI:0000:3b:00): 31, pid=7, name=NVRM: Xid (PCI:0000:5e:00): 79, Ch 8"
    assert parse_xid(line) == xid(31)


@pytest.mark.parametrize("prefix", ["PCI:", ""])
def test_the_line_before_the_first_xid_contains_the_uuid(prefix: str) -> None:
    assert parse_guid(f"NVRM: GPU at {prefix}0000:3b:00: {GUID}") == (ADDRESS, GUID)


@pytest.mark.parametrize("line", ["", "NVRM: GPU at PCI:0000:3b:00: GPU-1", f"GPU at PCI:0000:3b:00: {GUID}"])
def test_other_lines_contain_no_uuid(line: str) -> None:
    assert parse_guid(line) is None


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"4,1234,5678901,-;NVRM: hello\n SUBSYSTEM=pci\n DEVICE=+pci:0000:3b:00.0\n", "NVRM: hello"),
        (b"6,1,0,-,caller=T1;a;b\n", "a;b"),
        (b"4,1,0,c;part", "part"),
        (b"4,1,0,-;\xff\xfe\n", "��"),
        (b"4,1,0,-;\n", ""),
        (b"12,1234,5678901,-;NVRM: Xid (PCI:0000:3b:00): 79\n", None),
        (b"x,1,0,-;text", None),
        (b"-1,1,0,-;text", None),
        (b"9999999999999999999999,1,0,-;text", None),
        (b"no semicolon", None),
        (b";", None),
        (b"", None),
    ],
    ids=[
        "kernel",
        "caller",
        "fragment",
        "not utf-8",
        "empty message",
        "of a process",
        "letters",
        "negative",
        "huge",
        "no record",
        "only a semicolon",
        "nothing",
    ],
)
def test_only_records_of_the_kernel_have_a_message(record: bytes, message: str | None) -> None:
    assert parse_record(record) == message


@given(st.binary(max_size=300))
def test_any_record_can_be_parsed(record: bytes) -> None:
    line = parse_record(record)
    if line is not None:
        parse_xid(line)
        parse_guid(line)


@given(
    st.from_regex(
        r"NVRM: (Xid \((PCI:)?|The NVIDIA GPU |GPU at )[0-9a-f:. ]{0,20}(GPU-I:[0-9]+)?[\s\S]{0,80}", fullmatch=True
    )
)
def test_every_parsed_xid_has_an_address(line: str) -> None:
    event = parse_xid(line)
    if event is not None:
        assert event.xid > 0
        assert event.address is not None
        assert event.address == event.address.lower()
