"""The host's file system as an agent sees it.

`/` on the host itself, a folder of read-only mounts in a container, a captured tree in tests.
"""

from dataclasses import dataclass
from pathlib import Path

from node_core.errors import HostReadError


@dataclass(frozen=True, slots=True)
class HostRoot:
    """Reads absolute host paths below `base`. Missing is None or empty; unreadable is a HostReadError.

    Only what is asked for by name is read. A symbolic link with an absolute target points outside a captured tree, as it would
    in a container; sysfs and procfs have relative links only.
    """

    base: Path = Path("/")

    def path(self, host_path: str) -> Path:
        """Where an absolute host path lies for us."""
        return self.base / host_path.lstrip("/")

    def read(self, host_path: str, *, limit: int = 1 << 20) -> bytes | None:
        """At most `limit` bytes of a file; None where there is none."""
        try:
            with self.path(host_path).open("rb") as file:
                return file.read(limit)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise HostReadError(f"cannot read {host_path}: {error.strerror}") from error

    def text(self, host_path: str) -> str | None:
        """A text file without surrounding white space; bytes that are not UTF-8 are replaced. None where there is none."""
        content = self.read(host_path)
        return None if content is None else content.decode(errors="replace").strip()

    def entries(self, host_path: str) -> tuple[str, ...]:
        """The sorted names in a directory; empty where there is none."""
        try:
            return tuple(sorted(entry.name for entry in self.path(host_path).iterdir()))
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise HostReadError(f"cannot list {host_path}: {error.strerror}") from error

    def exists(self, host_path: str) -> bool:
        """Whether anything is there; a path that may not be looked at is taken as absent."""
        try:
            return self.path(host_path).exists()
        except OSError:
            return False

    def link_name(self, host_path: str) -> str | None:
        """The last part of a symbolic link's target (`driver` -> `vfio-pci`); None where there is no link."""
        try:
            return self.path(host_path).readlink().name
        except OSError:
            return None
