"""Where the driver and its device nodes are: on the host, for the container runtime, and for us who see them through a mount.

Source: NVIDIA device plugin's settings NVIDIA_DRIVER_ROOT, NVIDIA_DEV_ROOT and DRIVER_ROOT_CTR_PATH.
"""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from node_core.host.driver_root import DriverRoot

OWN_ROOT = Path("/")
DEFAULT_HOOK = "/usr/bin/nvidia-ctk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    """driver, dev: on the host; dev is the folder that holds the `dev` with the GPUs' nodes. driver_seen, dev_seen: the same for us."""

    driver: str = "/"
    dev: str = "/"
    driver_seen: Path = OWN_ROOT
    dev_seen: Path = OWN_ROOT

    def driver_path(self, path: str) -> str:
        """On the host, of a path below the driver root."""
        return join(self.driver, path)

    def dev_path(self, path: str) -> str:
        """On the host, of a path below the dev root."""
        return join(self.dev, path)


def join(root: str, path: str) -> str:
    return str(PurePosixPath("/", root.lstrip("/"), path.lstrip("/")))


def rebase(path: str, old: str, new: str) -> str | None:
    """A path below the folder `old` as it is below `new`; None where it is not below `old`. `/driver` does not hold `/driver-2`."""
    below = PurePosixPath(join(path, ""))
    folder = PurePosixPath(join(old, ""))
    return join(new, str(below.relative_to(folder))) if below.is_relative_to(folder) else None


def find_roots(driver: str, dev: str | None, seen: Path, *, own: Path = OWN_ROOT) -> Roots:
    """driver, dev: NVIDIA_DRIVER_ROOT and NVIDIA_DEV_ROOT, paths on the host. seen: where the driver root is mounted for us.

    A dev root that was chosen is the dev root; otherwise it is the driver root if GPUs have nodes there, and the host's root if not.
    """
    if dev:
        inside = rebase(dev, driver, str(seen))
        visible = inside is not None and (Path(inside) / "dev").is_dir()
        return Roots(driver=driver, dev=dev, driver_seen=seen, dev_seen=Path(inside) if inside and visible else own)
    if has_nodes(seen):
        return Roots(driver=driver, dev=driver, driver_seen=seen, dev_seen=seen)
    return Roots(driver=driver, dev="/", driver_seen=seen, dev_seen=own)


def has_nodes(root: Path) -> bool:
    """Whether the driver has made nodes in a root's /dev."""
    try:
        return any(name.startswith(("nvidia", "dxg", "nvmap")) for name in os.listdir(root / "dev"))  # noqa: PTH208 - names will do
    except OSError:
        return False


def find_hook(chosen: str | None, roots: Roots) -> str | None:
    """The hook program's path on the host, or None where there is none: then specs do without hooks.

    chosen: what somebody has set, who is believed where the driver root does not show us that part of the host.
    """
    path = chosen or DEFAULT_HOOK
    inside = rebase(path, roots.driver, "/")
    if inside is None:
        return chosen
    return path if DriverRoot(roots.driver_seen).resolve(inside) else None
