"""The kubelet's device-plugin directory and the sockets in it. Source: Kubernetes documentation, Device Plugins."""

import socket as sockets
import stat
from dataclasses import dataclass
from pathlib import Path

from node_core.errors import KubeletError

DEVICE_PLUGIN_DIR = Path("/var/lib/kubelet/device-plugins")
KUBELET_SOCKET = DEVICE_PLUGIN_DIR / "kubelet.sock"
API_VERSION = "v1beta1"
HEALTHY = "Healthy"
UNHEALTHY = "Unhealthy"
MAX_PATH = 107
"""Bytes of a unix socket's path, as unix(7) has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """Which file lies at a path. A file that was made anew has another stamp, even when it got the same inode again."""

    device: int
    inode: int
    changed_ns: int

    def is_same_file(self, other: "Stamp | None") -> bool:
        """Whether it is the same file while somebody holds it open, whatever was done to its owner or mode since."""
        return other is not None and (self.device, self.inode) == (other.device, other.inode)


def read_stamp(path: Path) -> Stamp | None:
    """The stamp of what lies there; None where there is nothing, or nothing that we may look at."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return Stamp(device=status.st_dev, inode=status.st_ino, changed_ns=status.st_ctime_ns)


def is_served(path: Path, *, timeout: float = 1.0) -> bool:
    """Whether a live process accepts connections there. One too busy to accept within `timeout` seconds is alive."""
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe:
        probe.settimeout(timeout)
        try:
            probe.connect(str(path))
        except (TimeoutError, BlockingIOError):
            return True
        except OSError:
            return False
        return True


def require_free(path: Path) -> None:
    """Raises KubeletError unless a socket may be put there: nothing is there, or what a process that is gone has left."""
    if len(str(path).encode()) > MAX_PATH:
        raise KubeletError(f"{path} is too long for a unix socket: {MAX_PATH} bytes are allowed")
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise KubeletError(f"cannot look at {path}: {error.strerror}") from error
    if not stat.S_ISSOCK(mode):
        raise KubeletError(f"{path} is in the way: it is not a socket")
    if is_served(path):
        raise KubeletError(f"another plugin serves {path}", hint="only one GPU device plugin may run on a node")
