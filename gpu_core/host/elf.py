"""Reads the header of a program or library. Source: elf(5)."""

import os
import stat
import struct
from pathlib import Path

_MACHINES = {62: "x86_64", 183: "aarch64"}
"""e_machine of an ELF file (elf.h) -> `uname -m`."""
_ELF_HEADER = struct.Struct("<4sB13xH")


def elf_machine(path: Path) -> str | None:
    """The machine of a 64-bit program or library, `x86_64` or `aarch64`; None for any other file.

    Container images often contain empty files with the name of a library: mount points that a runtime created during the build.
    """
    try:
        with open(path, "rb", opener=open_nonblocking) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            header = file.read(_ELF_HEADER.size)
    except (OSError, ValueError):
        return None
    if len(header) < _ELF_HEADER.size:
        return None
    magic, bits, machine = _ELF_HEADER.unpack(header)
    return _MACHINES.get(machine) if (magic, bits) == (b"\x7fELF", 2) else None


def open_nonblocking(path: str, flags: int) -> int:
    """Opening a named pipe without a writer would block."""
    return os.open(path, flags | os.O_NONBLOCK)
