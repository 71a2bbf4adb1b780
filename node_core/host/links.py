"""Symbolic links in a root that belongs to somebody else."""

import errno
import os
from pathlib import Path, PurePosixPath

_MAX_LINKS = 40
"""As the kernel follows them (path_resolution(7))."""


def resolve_inside(root: Path, inside: PurePosixPath) -> Path | None:
    """The file that a path inside a root means to whoever has that root as `/`; None where there is none.

    Absolute links start at the root again; one that goes up from it by `..` is refused (openat2(2), RESOLVE_BENEATH of what is relative).
    """
    waiting, found, links = list(reversed(inside.parts)), list[str](), 0
    while waiting:
        part = waiting.pop()
        if part == "..":
            if not found:
                return None
            found.pop()
            continue
        try:
            target = PurePosixPath(os.readlink(os.path.join(root, *found, part)))  # noqa: PTH115, PTH118 - thousands of links
        except ValueError:  # a null byte: there is no such name
            return None
        except OSError as error:
            if error.errno != errno.EINVAL:  # EINVAL: it is there and no link
                return None
            found.append(part)
            continue
        links += 1
        if links > _MAX_LINKS:
            return None
        found = [] if target.is_absolute() else found
        waiting += reversed(target.parts[1:] if target.is_absolute() else target.parts)
    return root.joinpath(*found)
