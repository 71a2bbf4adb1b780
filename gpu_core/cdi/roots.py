"""Discovers the driver root and the dev root: their host paths, which the container runtime uses, and their mount paths in this container.

Source: NVIDIA device plugin's settings NVIDIA_DRIVER_ROOT, NVIDIA_DEV_ROOT and DRIVER_ROOT_CTR_PATH.
"""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gpu_core.host.driver_root import DRIVER_CONTAINER

OWN_ROOT = Path("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    """driver, dev: host paths. dev: the folder that contains `dev` with the device nodes. driver_mount, dev_mount: mount paths."""

    driver: str = "/"
    dev: str = "/"
    driver_mount: Path = OWN_ROOT
    dev_mount: Path = OWN_ROOT

    def driver_path(self, path: str) -> str:
        """Returns the host path of a path below the driver root."""
        return join(self.driver, path)

    def dev_path(self, path: str) -> str:
        """Returns the host path of a path below the dev root."""
        return join(self.dev, path)


def join(root: str, path: str) -> str:
    return str(PurePosixPath("/", root.lstrip("/"), path.lstrip("/")))


def rebase(path: str, old: str, new: str) -> str | None:
    """Replaces the folder `old` of a path by `new`. Returns None if the path is not below `old`; `/driver-2` is not below `/driver`."""
    below = PurePosixPath(join(path, ""))
    folder = PurePosixPath(join(old, ""))
    return join(new, str(below.relative_to(folder))) if below.is_relative_to(folder) else None


def discover_roots(driver: str, dev: str | None, mount: Path, *, own_root: Path = OWN_ROOT) -> Roots:
    """driver, dev: host paths, NVIDIA_DRIVER_ROOT and NVIDIA_DEV_ROOT. mount: the mount path of the driver root.

    Without a configured dev root, the dev root is the first of these that contains device nodes of GPUs: the driver root, and the root of a
    driver container below it; otherwise the host's root.
    """
    if dev:
        below = rebase(dev, driver, str(mount))
        is_mounted = below is not None and (Path(below) / "dev").is_dir()
        return Roots(
            driver=driver, dev=dev, driver_mount=mount, dev_mount=Path(below) if below and is_mounted else own_root
        )
    for nested in ("", DRIVER_CONTAINER):
        if has_nodes(mount / nested):
            return Roots(driver=driver, dev=join(driver, nested), driver_mount=mount, dev_mount=mount / nested)
    return Roots(driver=driver, dev="/", driver_mount=mount, dev_mount=own_root)


def has_nodes(root: Path) -> bool:
    """Returns whether the /dev of a root contains device nodes of the driver."""
    try:
        return any(name.startswith(("nvidia", "dxg", "nvmap")) for name in os.listdir(root / "dev"))  # noqa: PTH208 - only names are needed
    except OSError:
        return False
