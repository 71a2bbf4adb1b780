"""Replaces a file in one step (rename(2)). A reader gets either the old text or the new text. On a full disk the old text remains."""

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """Writes a hidden file in the folder of `path`, syncs it, and renames it to `path`. The folder must exist. Raises OSError."""
    write_bytes_atomically(path, text.encode(), mode=mode)


def write_bytes_atomically(path: Path, content: bytes, *, mode: int = 0o644, like: Path | None = None) -> None:
    """Does the same for bytes. like: the file whose mode, owner and extended attributes the new file gets; None for `mode`."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            if like is not None:
                _copy_owner(like, temporary)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _copy_owner(source: Path, target: Path) -> None:
    """Copies owner, mode and extended attributes, such as the label of SELinux."""
    status = source.stat()
    os.chown(target, status.st_uid, status.st_gid)
    target.chmod(stat.S_IMODE(status.st_mode))
    with suppress(OSError):  # a file system without extended attributes
        for attribute in os.listxattr(source):
            os.setxattr(target, attribute, os.getxattr(source, attribute))


def _sync_folder(folder: Path) -> None:
    """Makes the rename durable on file systems that can sync a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    with suppress(OSError):
        os.fsync(descriptor)
    os.close(descriptor)
