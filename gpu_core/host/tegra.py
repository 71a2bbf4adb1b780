"""Reads the lists of files that a Jetson provides for containers. Source: NVIDIA Container Runtime on Jetson, mount plugins.

A line of a list is a kind and a path: `dev, /dev/nvmap`, `dir, /usr/share/cuda`, `lib, /usr/lib/aarch64-linux-gnu/tegra/libcuda.so.1.1`,
`sym, /usr/lib/aarch64-linux-gnu/libcuda.so`.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from gpu_core.host.driver_root import DriverFile, DriverRoot, is_plain
from gpu_core.host.platform import TEGRA_RELEASE
from node_core.host.root import HostRoot

LISTS = "/etc/nvidia-container-runtime/host-files-for-container.d"
LIST_NAMES = ("devices.csv", "drivers.csv", "l4t.csv")
_LINE = re.compile(r"\s*(dev|dir|lib|sym)\s*,\s*(/\S.*?)\s*")


class Entry(NamedTuple):
    """kind: dev, dir, lib or sym."""

    kind: str
    place: str


class TegraFiles(msgspec.Struct, frozen=True, kw_only=True):
    """devices: paths of nodes. files: folders and libraries. links: the target of each link, and the file that the link leads to.

    missing: places in a list that do not exist.
    """

    devices: tuple[str, ...] = ()
    files: tuple[DriverFile, ...] = ()
    links: tuple[tuple[str, DriverFile], ...] = ()
    missing: tuple[str, ...] = ()


def parse_list(text: str) -> tuple[Entry, ...]:
    """Parses a list. Ignores lines of another form, and paths with `..`, a colon or unprintable characters."""
    lines = (_LINE.fullmatch(line) for line in text.splitlines())
    return tuple(
        Entry(line[1], line[2]) for line in lines if line and is_plain(line[2]) and ".." not in line[2].split("/")
    )


def read_tegra(root: DriverRoot) -> TegraFiles | None:
    """Reads the lists; None without lists, or on a machine that is not a Jetson. Raises HostReadError."""
    if root.resolve(TEGRA_RELEASE) is None:
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


def _read_entries(root: DriverRoot) -> Iterator[Entry]:
    for name in LIST_NAMES:
        path = root.resolve(f"{LISTS}/{name}")
        yield from parse_list((path and HostRoot(root.base).text(path)) or "")


def _target(root: DriverRoot, link: DriverFile) -> str:
    """The target of a link; the path of the file if the link was replaced since."""
    return root.read_link(link.place) or link.path
