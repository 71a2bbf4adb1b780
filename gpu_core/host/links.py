"""Resolves symbolic links in an untrusted root."""

import errno
import os
from pathlib import Path, PurePosixPath

_MAX_LINKS = 40
"""The limit of the kernel (path_resolution(7))."""


def resolve_inside(root: Path, inside: PurePosixPath) -> Path | None:
    """The file of a path inside a root, resolved as if the root were `/`; None if the file does not exist.

    Absolute links start at the root. A path or link that leaves the root by `..` is rejected (openat2(2), RESOLVE_BENEATH).
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
        except ValueError:  # a null byte
            return None
        except OSError as error:
            if error.errno != errno.EINVAL:  # EINVAL: exists, but is not a link
                return None
            found.append(part)
            continue
        links += 1
        if links > _MAX_LINKS:
            return None
        found = [] if target.is_absolute() else found
        waiting += reversed(target.parts[1:] if target.is_absolute() else target.parts)
    return root.joinpath(*found)
