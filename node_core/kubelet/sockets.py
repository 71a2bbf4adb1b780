"""The kubelet's device-plugin directory and the sockets in the directory. Source: Kubernetes documentation, Device Plugins."""

import socket as sockets
import stat
from pathlib import Path

import msgspec

from node_core.errors import KubeletError

DEVICE_PLUGIN_DIR = Path("/var/lib/kubelet/device-plugins")
KUBELET_SOCKET = DEVICE_PLUGIN_DIR / "kubelet.sock"
API_VERSION = "v1beta1"
HEALTHY = "Healthy"
UNHEALTHY = "Unhealthy"
MAX_PATH = 107
"""The maximum length of a Unix socket's path in bytes. Source: unix(7)."""


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """The identity of the file at a path. A new file has a different stamp, even if the new file has the same inode number."""

    device: int
    inode: int
    changed_ns: int

    def is_same_file(self, other: "Stamp | None") -> bool:
        """Returns whether both stamps identify one file, even if its owner or mode changed. Valid while a process has the file open."""
        return other is not None and (self.device, self.inode) == (other.device, other.inode)


def read_stamp(path: Path) -> Stamp | None:
    """Returns the stamp of the file at the path, or None if the file does not exist or cannot be read."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return Stamp(device=status.st_dev, inode=status.st_ino, changed_ns=status.st_ctime_ns)


def is_served(path: Path, *, timeout: float = 1.0) -> bool:
    """Returns whether a process listens on the socket. A process that does not accept within `timeout` seconds counts as listening."""
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe:
        probe.settimeout(timeout)
        try:
            probe.connect(str(path))
        except (TimeoutError, BlockingIOError):
            return True
        except OSError:
            return False
        return True


def require_free_path(path: Path) -> None:
    """Raises KubeletError unless the path is unused or contains the socket of a terminated process."""
    if len(str(path).encode()) > MAX_PATH:
        raise KubeletError(f"{path} is too long for a Unix socket: the path may have {MAX_PATH} bytes")
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise KubeletError(f"cannot check {path}: {error.strerror}") from error
    if not stat.S_ISSOCK(mode):
        raise KubeletError(
            f"cannot create the socket {path}: the existing file is not a socket", hint="remove the file"
        )
    if is_served(path):
        raise KubeletError(f"another plugin serves {path}", hint="run only one GPU device plugin on a node")
