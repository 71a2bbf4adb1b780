"""Xids in the kernel's log. Pure.

A record of /dev/kmsg is `prefix,sequence,time,flags;message`, and the message is of the kernel where its facility, prefix >> 3, is 0: other
processes may write there too. Sources: kernel Documentation/ABI/testing/dev-kmsg; NVIDIA Xid Errors; NVIDIA GPU Memory Error Management.
"""

import re

from node_core.domain.evidence import XidEvent
from node_core.domain.inventory import GpuUuid, PciAddress

FALLEN_OFF_THE_BUS = 79

_ADDRESS = r"(?:PCI:)?(?P<address>[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2})(?:\.(?P<function>[0-7]))?"
_XID = re.compile(
    rf"NVRM: Xid \({_ADDRESS}(?: GPU-I:(?P<gpu_instance>[0-9]{{1,3}}))?(?: GPU-CI:(?P<compute_instance>[0-9]{{1,3}}))?\): "
    r"(?P<xid>[0-9]{1,9})(?![0-9])"
)
_GUID = re.compile(rf"NVRM: GPU at {_ADDRESS}: (?P<uuid>GPU-[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})")
_FALLEN = re.compile(rf"NVRM: The NVIDIA GPU {_ADDRESS}.{{0,200}}fallen off the bus", re.DOTALL)


def parse_record(record: bytes) -> str | None:
    """The message of a record, without its dictionary; None where it is not of the kernel, or no record."""
    head, semicolon, rest = record.partition(b";")
    prefix = head.partition(b",")[0]
    if not semicolon or not prefix.isdigit() or len(prefix) > 6 or int(prefix) >> 3:
        return None
    return rest.partition(b"\n")[0].decode(errors="replace")


def parse_xid(line: str) -> XidEvent | None:
    """Of a message that says an Xid, or that a GPU has fallen off the bus without saying one."""
    if (fallen := _FALLEN.match(line)) is not None:
        return XidEvent(xid=FALLEN_OFF_THE_BUS, address=_address(fallen), source="kernel log")
    found = _XID.match(line)
    if found is None or int(found["xid"]) == 0:
        return None
    return XidEvent(
        xid=int(found["xid"]),
        address=_address(found),
        gpu_instance=_number(found["gpu_instance"]),
        compute_instance=_number(found["compute_instance"]),
        source="kernel log",
    )


def parse_guid(line: str) -> tuple[PciAddress, GpuUuid] | None:
    """Of the message that goes before a GPU's first Xid and names it."""
    found = _GUID.match(line)
    return None if found is None else (_address(found), GpuUuid(found["uuid"]))


def _address(found: re.Match[str]) -> PciAddress:
    """As sysfs writes it; GPUs are function 0 where the message does not say."""
    domain, _, rest = found["address"].lower().partition(":")
    return PciAddress(f"{domain.lstrip('0'):0>4}:{rest}.{found['function'] or 0}")


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
