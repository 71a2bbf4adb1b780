"""What the first bytes of a program or library say. Source: elf(5)."""

import os
import stat
import struct
from pathlib import Path

_MACHINES = {62: "x86_64", 183: "aarch64"}
"""`uname -m` by e_machine of an ELF file (elf.h)."""
_ELF_HEADER = struct.Struct("<4sB13xH")


def elf_machine(path: Path) -> str | None:
    """`x86_64` or `aarch64`: for which machine a regular file is a 64-bit program or library; None where it is none.

    Container images often hold empty files of a library's name, left where a runtime had mounted the real ones while they were made.
    """
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            header = file.read(_ELF_HEADER.size)
    except (OSError, ValueError):
        return None
    if len(header) < _ELF_HEADER.size:
        return None
    magic, bits, machine = _ELF_HEADER.unpack(header)
    return _MACHINES.get(machine) if (magic, bits) == (b"\x7fELF", 2) else None


def _open_without_waiting(path: str, flags: int) -> int:
    """A named pipe has nobody at its other end."""
    return os.open(path, flags | os.O_NONBLOCK)
