"""Reads drop-ins of custom rules. A file that cannot be used takes nothing away: what it said before stands in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nfd_lite.rules.custom import parse_rule_file
from nfd_lite.rules.documents import MAX_TEXT
from nfd_lite.rules.model import RuleSet
from node_core.errors import HostReadError, SettingsError
from node_core.host.root import HostRoot, Unfit

CUSTOM_DIR = "/etc/kubernetes/node-feature-discovery/custom.d"


@dataclass(frozen=True, slots=True, kw_only=True)
class DropIn:
    """text: what it says, None when that is not known. sets: None when nothing that the file ever said is known.

    problem: why what it says now cannot be used.
    """

    text: str | None
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
    for below, name in _places(root, folder):
        path = f"{below}/{name}"
        drop_in = _read(root, below, name, before.get(path))
        if drop_in is not None:
            yield path, drop_in


def _places(root: HostRoot, folder: str) -> Iterator[tuple[str, str]]:
    """Folder and name of each file, in order."""
    for name in _visible(root, folder):
        path = f"{folder}/{name}"
        if not _is_dir(root.path(path)):
            yield folder, name
            continue
        yield from ((path, below) for below in _visible(root, path) if not _is_dir(root.path(f"{path}/{below}")))


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _visible(root: HostRoot, folder: str) -> list[str]:
    return [name for name in root.entries(folder) if not name.startswith(".")]


def _read(root: HostRoot, folder: str, name: str, before: DropIn | None) -> DropIn | None:
    """None where there is no file any more."""
    known = before.sets if before else None
    try:
        content = root.read_own(folder, name, limit=MAX_TEXT + 1)
        text = None if content is None else _text(content)
    except (HostReadError, ValueError) as error:
        return DropIn(text=None, sets=known, problem=f"{folder}/{name}: {error}")
    if text is None or (before is not None and text == before.text):
        return None if text is None else before
    return _parse(text, f"{folder}/{name}", known)


def _parse(text: str, source: str, known: tuple[RuleSet, ...] | None) -> DropIn:
    try:
        return DropIn(text=text, sets=parse_rule_file(text, source).sets)
    except SettingsError as error:
        return DropIn(text=text, sets=known, problem="; ".join(error.problems))


def _text(content: bytes | Unfit) -> str:
    """Raises ValueError for what is no text file."""
    if not isinstance(content, bytes):
        raise ValueError(content.why)  # noqa: TRY004 - what somebody put there, not a caller's mistake
    if len(content) > MAX_TEXT:
        raise ValueError(f"is larger than {MAX_TEXT} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ValueError("is not a UTF-8 text file") from error
