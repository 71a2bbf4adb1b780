"""Reads drop-in files with custom rules. While a file cannot be used, its last valid rules remain in effect."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from nfd_lite.rules.custom import parse_rule_file
from nfd_lite.rules.decode import salvage_rule
from nfd_lite.rules.model import Rule, RuleProblem, RuleSet
from nfd_lite.user_files import read_text
from node_core.decode import MAX_FILE
from node_core.errors import HostReadError, SettingsError
from node_core.host.root import HostRoot

CUSTOM_DIR = "/etc/kubernetes/node-feature-discovery/custom.d"


class DropIn(msgspec.Struct, frozen=True, kw_only=True):
    """One file.

    text: the current content; None if it could not be read. sets: the last valid rules; None if there never were valid rules.
    problem: why the current content cannot be used.
    """

    text: str | None
    sets: tuple[RuleSet, ...] | None
    problem: str | None = None

    @property
    def is_unknown(self) -> bool:
        """True if the content could never be read."""
        return self.sets is None and self.text is None


class CustomFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The drop-ins by host path, in order.

    problem: why the folder cannot be read. is_known: the folder could be read at least once.
    """

    files: Mapping[str, DropIn] = msgspec.field(default_factory=dict)
    problem: str | None = None
    is_known: bool = True

    @property
    def sets(self) -> tuple[RuleSet, ...]:
        return tuple(each for file in self.files.values() for each in file.sets or ())

    @property
    def problems(self) -> tuple[RuleProblem, ...]:
        """One problem for each file or folder that cannot be used."""
        problems = {CUSTOM_DIR: self.problem, **{path: file.problem for path, file in self.files.items()}}
        return tuple(RuleProblem(set_name=path, rule="", why=why) for path, why in problems.items() if why is not None)

    @property
    def salvaged(self) -> tuple[Rule, ...]:
        """One rule for each file that never had valid rules. See salvage_rule."""
        return tuple(
            salvage_rule(path, file.text)
            for path, file in self.files.items()
            if file.sets is None and file.text is not None
        )

    @property
    def has_unknown_rules(self) -> bool:
        """True if some rules could never be read, and may have published any output."""
        return not self.is_known or any(file.is_unknown for file in self.files.values())


def read_custom_dir(root: HostRoot, previous: CustomFiles | None = None, folder: str = CUSTOM_DIR) -> CustomFiles:
    """Reads the files of the folder and of its direct subfolders. Names that begin with '.' are ignored.

    previous: the last result. A file with the same content is not parsed again.
    """
    known = previous.files if previous else {}
    try:
        return CustomFiles(files=dict(_read_files(root, folder, known)))
    except HostReadError as error:
        return CustomFiles(files=known, problem=error.message, is_known=previous is not None and previous.is_known)


def _read_files(root: HostRoot, folder: str, previous: Mapping[str, DropIn]) -> Iterator[tuple[str, DropIn]]:
    for parent, name in _list_files(root, folder):
        path = f"{parent}/{name}"
        drop_in = _read(root, parent, name, previous.get(path))
        if drop_in is not None:
            yield path, drop_in


def _list_files(root: HostRoot, folder: str) -> Iterator[tuple[str, str]]:
    """Lists folder and name of each file, in order."""
    for name in _list_visible(root, folder):
        path = f"{folder}/{name}"
        if not _is_dir(root.path(path)):
            yield folder, name
            continue
        yield from ((path, child) for child in _list_visible(root, path) if not _is_dir(root.path(f"{path}/{child}")))


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _list_visible(root: HostRoot, folder: str) -> list[str]:
    return [name for name in root.entries(folder) if not name.startswith(".")]


def _read(root: HostRoot, folder: str, name: str, previous: DropIn | None) -> DropIn | None:
    """Reads one file. Returns None if the file no longer exists."""
    path, known = f"{folder}/{name}", previous.sets if previous else None
    try:
        text = read_text(root, folder, name, limit=MAX_FILE)
    except HostReadError as error:
        return DropIn(text=None, sets=known, problem=f"{path}: {error}")
    if text is None:
        return None
    if not isinstance(text, str):
        return DropIn(text=None, sets=known, problem=f"{path}: {text.why}")
    if previous is not None and text == previous.text:
        return previous
    try:
        return DropIn(text=text, sets=parse_rule_file(text, path).sets)
    except SettingsError as error:
        return DropIn(text=text, sets=known, problem="; ".join(error.problems))
