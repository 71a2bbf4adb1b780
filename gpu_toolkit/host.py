"""Reads and replaces files of the host, and retains their mode and owner."""

import errno
import glob
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gpu_core.host.links import resolve_inside
from node_core.decode import describe_os_error
from node_core.errors import RuntimeConfigError
from node_core.host.atomic_write import write_bytes_atomically

LIMIT = 4 << 20
NEW_FILE = 0o644
NEW_FOLDER = 0o755


class ReadOnlyHostError(RuntimeConfigError):
    """A config file is on a read-only file system, as on Talos and Bottlerocket."""


@dataclass(frozen=True, slots=True)
class Host:
    """root: `/` of the host, as this process sees it. Links with absolute targets stay below it."""

    root: Path = Path("/")

    def path(self, host_path: str) -> Path:
        """Returns the path of a file in this mount namespace. The file, and its folders, may be missing."""
        pure = PurePosixPath(host_path)
        for parent in (pure, *pure.parents):
            found = resolve_inside(self.root, PurePosixPath(*parent.parts[1:]))
            if found is not None:
                return found / pure.relative_to(parent)
        return self.root / host_path.lstrip("/")

    def exists(self, host_path: str) -> bool:
        """Raises RuntimeConfigError if the path cannot be examined."""
        try:
            self.path(host_path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise RuntimeConfigError(
                f"{host_path} {describe_os_error(error)}", hint="run the command as root"
            ) from error
        return True

    def read(self, host_path: str) -> bytes | None:
        """Returns None if the file is missing. Raises RuntimeConfigError if it cannot be read."""
        try:
            with self.path(host_path).open("rb") as file:
                return file.read(LIMIT)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise RuntimeConfigError(f"{host_path} {describe_os_error(error)}") from error

    def names(self, host_path: str) -> tuple[str, ...]:
        """Lists a folder, sorted; nothing if it is missing or cannot be read."""
        with suppress(OSError):
            return tuple(sorted(os.listdir(self.path(host_path))))  # noqa: PTH208 - names are enough
        return ()

    def write(self, host_path: str, content: bytes) -> None:
        """Replaces a file in one step; a new file has mode 0644. Raises RuntimeConfigError."""
        path = self.path(host_path)
        try:
            write_bytes_atomically(path, content, like=path if path.exists() else None, mode=NEW_FILE)
        except OSError as error:
            raise _not_written(host_path, error) from error

    def remove(self, host_path: str) -> None:
        try:
            self.path(host_path).unlink(missing_ok=True)
        except OSError as error:
            raise _not_written(host_path, error) from error

    def remove_unfinished(self, host_path: str) -> None:
        """Removes what `write` leaves beside the file if the process dies."""
        path = self.path(host_path)
        with suppress(OSError):
            for each in path.parent.glob(f".{glob.escape(path.name)}.????????"):
                each.unlink()

    def missing_folders(self, host_path: str) -> tuple[str, ...]:
        """Returns the folders above a file that do not exist, the outermost first."""
        folders = [str(parent) for parent in PurePosixPath(host_path).parents]
        return tuple(each for each in reversed(folders) if not self.path(each).is_dir())

    def make_folder(self, host_path: str) -> None:
        try:
            self.path(host_path).mkdir(mode=NEW_FOLDER, exist_ok=True)
        except OSError as error:
            raise _not_written(host_path, error) from error

    def remove_folder(self, host_path: str) -> None:
        """Removes an empty folder. A folder with files of others stays."""
        with suppress(OSError):
            self.path(host_path).rmdir()


def _not_written(host_path: str, error: OSError) -> RuntimeConfigError:
    if error.errno == errno.EROFS:
        return ReadOnlyHostError(f"{host_path} is on a read-only file system")
    return RuntimeConfigError(f"cannot change {host_path}: it {describe_os_error(error)}")
