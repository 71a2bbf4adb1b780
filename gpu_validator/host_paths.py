"""Examines paths of the host, which are at other places in a container."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gpu_core.host.device_nodes import HostNode, read_node
from gpu_core.host.links import resolve_inside


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A folder of the host, and its path here. Links below it are resolved as if the folder were the root."""

    host: str
    here: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPaths:
    """mounts: the first one that contains a path counts."""

    mounts: tuple[Mount, ...]

    def examine(self, path: str) -> HostNode | bool | None:
        """Returns the device node; True for another file, False for a missing one, and None for a path that no mount contains."""
        inside = PurePosixPath("/", path.lstrip("/"))
        mount = next((each for each in self.mounts if inside.is_relative_to(each.host)), None)
        if mount is None:
            return None
        found = resolve_inside(mount.here, inside.relative_to(mount.host))
        return False if found is None else read_node(found) or True
