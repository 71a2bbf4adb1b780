"""Libraries in a container: where they are put, and how its loader comes to find them.

With the hooks of NVIDIA's toolkit: at the path that they have in the driver's own root, with links, and in the loader's cache. Without:
in both folders that loaders look in by themselves, RHEL's and Debian's, each under all its names. A loader opens a file once by whichever
name, because it compares what the names lead to.
"""

from collections.abc import Iterable
from pathlib import PurePosixPath
from posixpath import relpath

from device_plugin.cdi.hooks import LDCACHE, LINKS, folder_hook, has_hook, link_hook
from device_plugin.cdi.options import CdiOptions
from node_core.domain.cdi import Edits, MountEdit
from node_core.host.driver_libraries import Library

RHEL_FOLDER = "/usr/lib64"
_MORE_NAMES = {
    "libcuda": ("libcuda.so.1", "libcuda.so"),
    "libGLX_nvidia": ("libGLX_indirect.so.0",),
    "libnvidia-opticalflow": ("libnvidia-opticalflow.so.1", "libnvidia-opticalflow.so"),
    "libnvidia-allocator": ("libnvidia-allocator.so.1", "gbm/nvidia-drm_gbm.so"),
    "libnvidia-vulkan-producer": ("libnvidia-vulkan-producer.so",),
}
"""Names that programs use whether or not the host has such links."""


def debian_folder(machine: str) -> str:
    return f"/usr/lib/{machine}-linux-gnu"


def library_edits(libraries: Iterable[Library], machine: str, options: CdiOptions) -> Edits:
    """Mounts and links, and the hook that puts them into the loader's cache."""
    placed = [(library, folder) for library in libraries for folder in _folders(library, machine, options)]
    mounts = [_mount(library, folder, library.names[0], options) for library, folder in placed]
    named = [(library, folder, name) for library, folder in placed for name in _other_names(library)]
    if has_hook(options, LINKS):
        hooks = link_hook(
            options, sorted((_target(library, name), f"{folder}/{name}") for library, folder, name in named)
        )
        return Edits(mounts=tuple(mounts), hooks=hooks)
    more = [_mount(library, folder, name, options) for library, folder, name in named]
    return Edits(mounts=(*mounts, *more))


def cache_edits(mounts: Iterable[MountEdit], options: CdiOptions) -> Edits:
    """What makes the loader know the folders of all libraries that are mounted."""
    places = [PurePosixPath(mount.container_path) for mount in mounts]
    folders = {str(place.parent) for place in places if place.name.startswith("lib") and ".so" in place.name}
    return Edits(hooks=folder_hook(options, sorted(folders)))


def _folders(library: Library, machine: str, options: CdiOptions) -> tuple[str, ...]:
    if not has_hook(options, LDCACHE):
        return RHEL_FOLDER, debian_folder(machine)
    multiarch = f"lib/{machine}-linux-gnu"
    known = {"/usr/lib64", "/lib64", f"/usr/{multiarch}", f"/{multiarch}", f"/usr/{multiarch}/nvidia/current"}
    return (library.folder if library.folder in known else RHEL_FOLDER,)


def _other_names(library: Library) -> tuple[str, ...]:
    names = dict.fromkeys((*library.names, *_MORE_NAMES.get(library.stem, ())))
    return tuple(name for name in names if name != library.names[0])


def _target(library: Library, name: str) -> str:
    """What a link says: the name with the interface's version, or that of the file where there is no such name."""
    versioned = f"{library.stem}.so.1"
    known = {*library.names, *_MORE_NAMES.get(library.stem, ())}
    target = versioned if name != versioned and versioned in known else library.names[0]
    return relpath(f"/{target}", PurePosixPath(f"/{name}").parent)


def _mount(library: Library, folder: str, name: str, options: CdiOptions) -> MountEdit:
    return MountEdit(host_path=options.roots.driver_path(library.path), container_path=f"{folder}/{name}")
