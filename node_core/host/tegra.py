"""What a Jetson's own lists name for its containers. Source: NVIDIA Container Runtime on Jetson, mount plugins.

A line of a list is a kind and a path: `dev, /dev/nvmap`, `dir, /usr/share/cuda`, `lib, /usr/lib/aarch64-linux-gnu/tegra/libcuda.so.1.1`,
`sym, /usr/lib/aarch64-linux-gnu/libcuda.so`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from node_core.host.driver_root import DriverFile, DriverRoot, is_plain
from node_core.host.root import HostRoot

RELEASE = "/etc/nv_tegra_release"
LISTS = "/etc/nvidia-container-runtime/host-files-for-container.d"
LIST_NAMES = ("devices.csv", "drivers.csv", "l4t.csv")
_LINE = re.compile(r"\s*(dev|dir|lib|sym)\s*,\s*(/\S.*?)\s*")


class Entry(NamedTuple):
    """kind: dev, dir, lib or sym."""

    kind: str
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TegraFiles:
    """devices: paths of nodes. files: folders and libraries. links: place of a link -> what it says and the file that it leads to.

    missing: places that a list names and where nothing is.
    """

    devices: tuple[str, ...] = ()
    files: tuple[DriverFile, ...] = ()
    links: tuple[tuple[str, DriverFile], ...] = ()
    missing: tuple[str, ...] = ()


def parse_list(text: str) -> tuple[Entry, ...]:
    """The entries of a list; a line of another form, or with `..` or what cannot be printed in its path, says nothing."""
    lines = (_LINE.fullmatch(line) for line in text.splitlines())
    return tuple(Entry(line[1], line[2]) for line in lines if line and _is_plain_place(line[2]))


def read_tegra(root: DriverRoot) -> TegraFiles | None:
    """None where this is no Jetson, or one without lists. Raises HostReadError."""
    if root.resolve(RELEASE) is None:
        return None
    entries = list(dict.fromkeys(_read_entries(root)))
    if not entries:
        return None
    found = {entry: root.resolve(entry.place) for entry in entries if entry.kind != "dev"}
    files = {entry: DriverFile(path=path, place=entry.place) for entry, path in found.items() if path is not None}
    return TegraFiles(
        devices=tuple(entry.place for entry in entries if entry.kind == "dev"),
        files=tuple(file for entry, file in files.items() if entry.kind != "sym"),
        links=tuple((_target(root, file), file) for entry, file in files.items() if entry.kind == "sym"),
        missing=tuple(entry.place for entry, path in found.items() if path is None),
    )


def _is_plain_place(path: str) -> bool:
    return is_plain(path) and ".." not in path.split("/")


def _read_entries(root: DriverRoot) -> Iterator[Entry]:
    for name in LIST_NAMES:
        path = root.resolve(f"{LISTS}/{name}")
        yield from parse_list((path and HostRoot(root.base).text(path)) or "")


def _target(root: DriverRoot, link: DriverFile) -> str:
    """What a link says; the path of the file where it is none any more."""
    return root.read_link(link.place) or link.path
