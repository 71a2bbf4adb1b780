"""Reads drop-ins of custom rules. A file that cannot be used takes nothing away: what it said before stands in."""

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nfd_lite.rules.custom import parse_rule_file
from nfd_lite.rules.documents import MAX_TEXT
from nfd_lite.rules.model import RuleSet
from node_core.errors import HostReadError, SettingsError
from node_core.host.root import HostRoot

CUSTOM_DIR = "/etc/kubernetes/node-feature-discovery/custom.d"

Stamp = tuple[int, int, int]
"""Time of change in nanoseconds, size and inode: a file with another stamp is parsed again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DropIn:
    """sets: None when nothing that the file ever said is known. problem: why what it says now cannot be used."""

    stamp: Stamp | None
    sets: tuple[RuleSet, ...] | None
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomFiles:
    """The drop-ins by host path, in order. problem: why the folder cannot be read."""

    files: Mapping[str, DropIn] = field(default_factory=dict)
    problem: str | None = None
    known: bool = True

    @property
    def sets(self) -> tuple[RuleSet, ...]:
        return tuple(each for file in self.files.values() for each in file.sets or ())

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence for each file or folder that cannot be used."""
        own = [self.problem, *(file.problem for file in self.files.values())]
        return tuple(problem for problem in own if problem is not None)

    @property
    def unknown(self) -> bool:
        """Whether something cannot be read that nothing of before stands in for: then whatever custom rules published stays."""
        return not self.known or any(file.sets is None for file in self.files.values())


def read_custom_dir(root: HostRoot, before: CustomFiles | None = None, folder: str = CUSTOM_DIR) -> CustomFiles:
    """All drop-ins: files of the folder and of the folders in it. Names that begin with '.' are passed over.

    before: what this function gave last; files that did not change since are not parsed again.
    """
    try:
        return CustomFiles(files=dict(_read_files(root, folder, before.files if before else {})))
    except HostReadError as error:
        known = before is not None and before.known
        return CustomFiles(files=before.files if before else {}, problem=error.message, known=known)


def _read_files(root: HostRoot, folder: str, before: Mapping[str, DropIn]) -> Iterator[tuple[str, DropIn]]:
    for path in _paths(root, folder):
        drop_in = _read(root.path(path), path, before.get(path))
        if drop_in is not None:
            yield path, drop_in


def _paths(root: HostRoot, folder: str) -> Iterator[str]:
    for path in _visible(root, folder):
        if not _is_dir(root.path(path)):
            yield path
            continue
        yield from (below for below in _visible(root, path) if not _is_dir(root.path(below)))


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _visible(root: HostRoot, folder: str) -> list[str]:
    return [f"{folder}/{name}" for name in root.entries(folder) if not name.startswith(".")]


def _read(path: Path, source: str, before: DropIn | None) -> DropIn | None:
    known = before.sets if before else None
    try:
        content = _read_changed(path, before.stamp if before else None)
        if content is None:
            return before
        stamp, text = content
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return DropIn(stamp=None, sets=known, problem=f"{source}: {why}")
    try:
        return DropIn(stamp=stamp, sets=parse_rule_file(text, source).sets)
    except SettingsError as error:
        return DropIn(stamp=stamp, sets=known, problem="; ".join(error.problems))


def _read_changed(path: Path, known: Stamp | None) -> tuple[Stamp, str] | None:
    """The file's stamp and text; None when its stamp is the known one. Raises OSError, or ValueError for what is no text file."""
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(number, "rb") as file:
        status = os.fstat(number)
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("is not a regular file")
        if stamp == known:
            return None
        content = file.read(MAX_TEXT + 1)
    if len(content) > MAX_TEXT:
        raise ValueError(f"is larger than {MAX_TEXT} bytes")
    try:
        return stamp, content.decode()
    except UnicodeDecodeError as error:
        raise ValueError("is not a UTF-8 text file") from error
