"""Driver roots: `<name>.tree`, a line for each file, is laid out below a folder. ../README.md lists the captured roots.

`PATH/` is a folder, `PATH -> TARGET` a link, `PATH = TEXT` a file, `PATH library MACHINE` the beginning of a library, `PATH program` a file
that can be run, `PATH toolkit RELEASE` NVIDIA's hook program, `PATH socket` a socket, `PATH node MAJOR:MINOR MODE [GID]` stands for a
character device, see `read_composed_node`.
"""

import os
import re
import stat
import struct
from pathlib import Path

from gpu_core.host.device_nodes import HostNode

TREES = Path(__file__).parent
DRIVERS = tuple(sorted(path.stem for path in TREES.glob("*.tree") if path.stem != "devices"))
TOOLKITS = {
    "1.16.2": ("create-symlinks", "update-ldcache"),
    "1.17.4": ("create-symlinks", "update-ldcache"),
    "1.17.8": ("create-symlinks", "update-ldcache", "enable-cuda-compat", "host-driver-version"),
    "1.18.0": (
        "create-symlinks",
        "update-ldcache",
        "enable-cuda-compat",
        "host-driver-version",
        "disable-device-node-modification",
    ),
}
"""Release -> the texts of the hook program that matter. tests/e2e/test_hook_programs.py compares this with the programs."""
TOOLKITS["1.19.0"] = (*TOOLKITS["1.18.0"], "host-cuda-version")
TOOLKITS["1.20.0"] = (*TOOLKITS["1.19.0"], "update-application-profile")
TOOLKITS["1.20.1"] = (*TOOLKITS["1.20.0"], "Ignoring read-only filesystem error")
TOOLKITS["1.20.2"] = (*TOOLKITS["1.20.0"], "Ignoring error writing application profile")
_MACHINES = {"x86_64": (2, 62), "aarch64": (2, 183), "i386": (1, 3)}


def elf_header(machine: str) -> bytes:
    bits, number = _MACHINES[machine]
    return struct.pack("<4sB13xH", b"\x7fELF", bits, number)


def lay_out_tree(name: str, root: Path, *, machine: str = "") -> Path:
    """machine: the machine of its 64-bit libraries, in place of the machine in the tree."""
    for line in (TREES / f"{name}.tree").read_text().splitlines():
        if not line.startswith("#"):
            lay_out(root, re.sub("library (x86_64|aarch64)$", f"library {machine}", line) if machine else line)
    return root


def lay_out(root: Path, line: str) -> Path:
    """One line of a tree."""
    name, _, what = line.partition(" ")
    path = root / name.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    kind, _, more = what.partition(" ")
    match kind:
        case "":
            path.mkdir(exist_ok=True)
        case "->":
            path.symlink_to(more)
        case "=":
            path.write_text(more.replace("\\n", "\n"))
        case "library":
            path.write_bytes(elf_header(more))
        case "program":
            path.write_text("#!")
            path.chmod(0o755)
        case "toolkit":
            path.write_bytes(elf_header("x86_64") + bytes(1 << 18) + "".join(TOOLKITS[more]).encode() + bytes(1 << 20))
            path.chmod(0o755)
        case "socket":
            os.mknod(path, stat.S_IFSOCK | 0o666)
        case "node":
            path.write_text(more)
        case _:
            raise ValueError(line)
    return path


def lay_out_all(root: Path, *lines: str) -> Path:
    for line in lines:
        lay_out(root, line)
    return root


def read_composed_node(path: Path) -> HostNode | None:
    """A device node of a tree. A file that any user can read replaces the device node, because only root can create device nodes."""
    if path.is_symlink() or not path.is_file():
        return None
    numbers, mode, gid, *_ = (*path.read_text().split(), "0", "0")
    major, _, minor = numbers.partition(":")
    return HostNode(major=int(major), minor=int(minor), mode=int(mode, 8), gid=int(gid)) if minor else None
