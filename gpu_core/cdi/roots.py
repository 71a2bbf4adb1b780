"""Discovers the driver root and the dev root: their host paths, which the container runtime uses, and their mount paths in this container.

A driver root that is the root of a host fits nodes with a driver of their own and nodes with a driver container: each discovery finds out
where the driver is. Source: NVIDIA device plugin's settings NVIDIA_DRIVER_ROOT, NVIDIA_DEV_ROOT and DRIVER_ROOT_CTR_PATH.
"""

import os
from pathlib import Path, PurePosixPath

import msgspec

from gpu_core.host.driver_libraries import locate_driver
from gpu_core.host.driver_root import DRIVER_CONTAINER, is_in_container
from node_core.values import replace

OWN_ROOT = Path("/")


class Roots(msgspec.Struct, frozen=True, kw_only=True):
    """driver, dev: host paths. dev: the folder that contains `dev` with the device nodes. driver_mount, dev_mount: mount paths.

    container: DRIVER_CONTAINER if the driver is in a driver container below the driver root; otherwise empty.
    """

    driver: str = "/"
    dev: str = "/"
    driver_mount: Path = OWN_ROOT
    dev_mount: Path = OWN_ROOT
    container: str = ""

    @property
    def own(self) -> str:
        """The host path of the driver's own root: of the driver container, or the driver root."""
        return join(self.driver, self.container)

    @property
    def own_mount(self) -> Path:
        return self.driver_mount / self.container

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


def discover_roots(
    driver: str,
    dev: str | None,
    mount: Path,
    *,
    own_root: Path = OWN_ROOT,
    loaded: str | None = None,
    library_dirs: tuple[str, ...] = (),
) -> Roots:
    """driver, dev: host paths, NVIDIA_DRIVER_ROOT and NVIDIA_DEV_ROOT. mount: the mount path of the driver root.

    loaded, library_dirs: see locate_driver. Without a configured dev root, the dev root is the first of these that contains device nodes of
    GPUs: the driver's own root, the driver root, and the root of a driver container; otherwise the host's root.
    """
    location = locate_driver(mount, loaded, library_dirs)
    container = DRIVER_CONTAINER if location is not None and is_in_container(location.path) else ""
    roots = Roots(driver=driver, driver_mount=mount, container=container)
    if dev:
        below = rebase(dev, driver, str(mount))
        is_mounted = below is not None and (Path(below) / "dev").is_dir()
        return replace(roots, dev=dev, dev_mount=Path(below) if below and is_mounted else own_root)
    for nested in (container, "", DRIVER_CONTAINER):
        if has_nodes(mount / nested):
            return replace(roots, dev=join(driver, nested), dev_mount=mount / nested)
    return replace(roots, dev_mount=own_root)


def has_nodes(root: Path) -> bool:
    """Returns whether the /dev of a root contains device nodes of the driver."""
    try:
        return any(name.startswith(("nvidia", "dxg", "nvmap")) for name in os.listdir(root / "dev"))  # noqa: PTH208 - only names are needed
    except OSError:
        return False
