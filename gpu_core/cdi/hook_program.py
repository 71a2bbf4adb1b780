"""Discovers the hooks that the hook program on the host has, by the texts in the program. The program is never run.

Programs before release 1.18.0 of NVIDIA's container toolkit exit with status 3 for a hook that they do not have, and then no container with
a GPU starts. Source: nvidia-ctk and nvidia-cdi-hook of the releases 1.15.0 to 1.20.2, run with each hook and flag.
"""

import os
import re
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

import msgspec

from gpu_core.cdi.roots import Roots, rebase
from gpu_core.host.driver_root import DriverRoot
from gpu_core.host.elf import elf_machine
from gpu_core.host.program_texts import find_texts
from node_core.errors import HostReadError
from node_core.host.root import FileStamp, HostRoot

LINKS = "create-symlinks"
COMPAT = "enable-cuda-compat"
LDCACHE = "update-ldcache"
NO_NODES = "disable-device-node-modification"
PROFILE = "update-application-profile"
HOST_DRIVER = "--host-driver-version"
HOST_CUDA = "--host-cuda-version"
"""A flag of COMPAT since 1.19.0."""

WORDS = frozenset({LINKS, COMPAT, LDCACHE, NO_NODES, PROFILE, HOST_DRIVER, HOST_CUDA})
"""The hooks in specifications, and their flags that not every release has."""
OLDEST = frozenset({LINKS, LDCACHE})
"""The hooks of every release that has hooks."""
DEFAULT = "/usr/bin/nvidia-ctk"
NO_PROGRAM = "the host has no hook program"

_TEXTS = {word: word.removeprefix("--").encode() for word in WORDS}
_SAFE_PROFILE = (b"Ignoring read-only filesystem error", b"Ignoring error writing application profile")
"""A release without one of these texts, 1.20.0, does not start containers in which /etc/nvidia is read-only."""
_TARGET = re.compile(rb"/[\w./+@-]*nvidia-(?:ctk|cdi-hook)[\w.-]*")
_WRAPPER_SIZE = 1 << 20
"""Bytes. Larger programs are not wrappers."""
_MAX_WRAPPERS, _MAX_TARGETS = 3, 4


class HookProgram(msgspec.Struct, frozen=True, kw_only=True):
    """path: on the host; None if specifications must not use a hook program. words: the WORDS that may be used.

    why: why specifications cannot use the hooks of the program, as the second half of a sentence; None if its hooks are known.
    """

    path: str | None = None
    words: frozenset[str] = WORDS
    why: str | None = None


class UnknownProgramError(Exception):
    """Why the hooks of a program are unknown: the second half of a sentence."""


class HookProgramReader:
    """Finds the hook program and reads its hooks. Reads a program again only if the file has changed. Not thread-safe."""

    def __init__(self, host: HostRoot) -> None:
        self._host = host
        self._known: dict[Path, tuple[FileStamp, frozenset[str]]] = {}

    def read(self, configured: str | None, roots: Roots) -> HookProgram:
        """configured: the configured host path. A configured program that no mount contains is used with the hooks of every release."""
        path = configured or DEFAULT
        is_mounted, found = self._locate(path, roots)
        if not is_mounted:
            why = f"{path} is not mounted, so that only the hooks of every release are used"
            return HookProgram(path=path, words=OLDEST, why=why) if configured else HookProgram(why=NO_PROGRAM)
        if found is None:
            return HookProgram(why=NO_PROGRAM if configured is None else f"{path} does not exist")
        try:
            words = self._words(path, found, roots)
        except UnknownProgramError as error:
            return HookProgram(why=f"{error}, so that its hooks are unknown")
        return HookProgram(path=path, words=words) if words else HookProgram(why=f"{path} has no hooks")

    def _locate(self, path: str, roots: Roots) -> tuple[bool, Path | None]:
        """Returns whether a mount should contain a host path, and the file."""
        below = rebase(path, roots.driver, "/")
        base = self._host.base if below is None else roots.driver_mount
        inside = DriverRoot(base).resolve(path if below is None else below)
        return below is not None or inside is not None, None if inside is None else base / inside.lstrip("/")

    def _words(self, path: str, file: Path, roots: Roots, depth: int = 0) -> frozenset[str]:
        """Follows wrappers to the program. Raises UnknownProgramError."""
        try:
            status = file.stat()
            if not _is_program(status):
                raise UnknownProgramError(f"{path} is not a program")
            has_code = elf_machine(file) is not None
            words = self._read(file, status) if has_code else frozenset[str]()
            if words or (has_code and status.st_size > _WRAPPER_SIZE):
                return words
            text = HostRoot(file.parent).read(file.name, limit=_WRAPPER_SIZE) or b""
        except (OSError, HostReadError) as error:
            raise UnknownProgramError(f"{path} cannot be read ({getattr(error, 'strerror', None) or error})") from error
        if any(each in text for each in _TEXTS.values()):
            raise UnknownProgramError(f"{path} is a script that handles hooks itself")
        targets = dict(islice(self._targets(path, file, text, roots), _MAX_TARGETS))
        if not targets or depth == _MAX_WRAPPERS:
            raise UnknownProgramError(f"{path} is neither NVIDIA's program nor a known wrapper of it")
        return WORDS.intersection(*(self._words(name, each, roots, depth + 1) for each, name in targets.items()))

    def _targets(self, path: str, file: Path, text: bytes, roots: Roots) -> Iterator[tuple[Path, str]]:
        """Yields the programs that a wrapper may run: those in its text, and those next to it with the usual names.

        The wrappers of the GPU operator run `<name>.real`, those of Nix `.<name>-wrapped`.
        """
        folder, name = PurePosixPath(path).parent, PurePosixPath(path).name
        named = sorted({os.fsdecode(found) for found in _TARGET.findall(text)})
        for each in (str(folder / f"{name}.real"), str(folder / f".{name}-wrapped"), *named):
            found = self._locate(each, roots)[1]
            if found is not None and found != file and _exists_as_program(found):
                yield found, each

    def _read(self, file: Path, status: os.stat_result) -> frozenset[str]:
        """The words of a program. Raises OSError."""
        stamp = status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size
        known = self._known.get(file)
        if known is not None and known[0] == stamp:
            return known[1]
        found = find_texts(file, (*_TEXTS.values(), *_SAFE_PROFILE))
        words = {word for word, text in _TEXTS.items() if text in found}
        if found.isdisjoint(_SAFE_PROFILE):
            words.discard(PROFILE)
        self._known[file] = stamp, frozenset(words)
        return frozenset(words)


def _exists_as_program(path: Path) -> bool:
    try:
        return _is_program(path.stat())
    except OSError:  # removed since
        return False


def _is_program(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and bool(status.st_mode & 0o111)
