"""Parses Xids in the kernel log. PURE.

A record of /dev/kmsg is `prefix,sequence,time,flags;message`. Other processes can write records too; records of the kernel have the
facility 0 (prefix >> 3). Sources: kernel Documentation/ABI/testing/dev-kmsg; NVIDIA Xid Errors; NVIDIA GPU Memory Error Management.
"""

import re

from gpu_core.domain.evidence import XidEvent
from gpu_core.domain.inventory import GpuUuid
from node_core.domain.pci import PciAddress

FALLEN_OFF_THE_BUS = 79

_ADDRESS = r"(?:PCI:)?(?P<address>[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2})(?:\.(?P<function>[0-7]))?"
_XID = re.compile(rf"NVRM: Xid \({_ADDRESS}(?P<instances>(?: [^)]{{0,80}})?)\): (?P<xid>[0-9]{{1,9}})(?![0-9])")
_GPU_INSTANCE = re.compile(r" GPU-I:([0-9]{1,3})\b")
_COMPUTE_INSTANCE = re.compile(r" GPU-CI:([0-9]{1,3})\b")
_GUID = re.compile(rf"NVRM: GPU at {_ADDRESS}: (?P<uuid>GPU-[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})")
_FALLEN = re.compile(rf"NVRM: The NVIDIA GPU {_ADDRESS}.{{0,200}}fallen off the bus", re.DOTALL)


def parse_record(record: bytes) -> str | None:
    """The message of a record, without its dictionary; None if the record is malformed or not from the kernel."""
    head, semicolon, rest = record.partition(b";")
    prefix = head.partition(b",")[0]
    if not semicolon or not prefix.isdigit() or len(prefix) > 6 or int(prefix) >> 3:
        return None
    return rest.partition(b"\n")[0].decode(errors="replace")


def parse_xid(line: str) -> XidEvent | None:
    """The Xid in a message; Xid 79 for the message that a GPU has fallen off the bus."""
    if (fallen := _FALLEN.match(line)) is not None:
        return XidEvent(xid=FALLEN_OFF_THE_BUS, address=_address(fallen), source="kernel log")
    found = _XID.match(line)
    if found is None or int(found["xid"]) == 0:
        return None
    return XidEvent(
        xid=int(found["xid"]),
        address=_address(found),
        gpu_instance=_number(_GPU_INSTANCE, found["instances"]),
        compute_instance=_number(_COMPUTE_INSTANCE, found["instances"]),
        source="kernel log",
    )


def parse_guid(line: str) -> tuple[PciAddress, GpuUuid] | None:
    """Address and UUID in the message that the driver logs before the first Xid of a GPU."""
    found = _GUID.match(line)
    return None if found is None else (_address(found), GpuUuid(found["uuid"]))


def _address(found: re.Match[str]) -> PciAddress:
    """The address in the form of sysfs; function 0 if the message has no function."""
    domain, _, rest = found["address"].lower().partition(":")
    return PciAddress(f"{domain.lstrip('0'):0>4}:{rest}.{found['function'] or 0}")


def _number(pattern: re.Pattern[str], text: str) -> int | None:
    found = pattern.search(text)
    return None if found is None else int(found[1])
