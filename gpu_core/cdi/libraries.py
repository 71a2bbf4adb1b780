"""Mounts the driver's libraries in a container, so that the container's loader finds them.

With the hooks of NVIDIA's toolkit, a library is mounted at its path in the driver root, and hooks create its links and update the loader
cache. Without the hooks, a library is mounted under all its names in the default library folders of both RHEL and Debian. A loader opens
the same file only once, because it compares inodes and not names.
"""

from collections.abc import Iterable
from pathlib import PurePosixPath
from posixpath import relpath

from gpu_core.cdi.hook_program import LDCACHE, LINKS
from gpu_core.cdi.hooks import has_hook, hook, link_hook
from gpu_core.cdi.options import CdiOptions
from gpu_core.domain.cdi import Edits, MountEdit
from gpu_core.host.driver_libraries import Library

RHEL_FOLDER = "/usr/lib64"
_MORE_NAMES = {
    "libcuda": ("libcuda.so.1", "libcuda.so"),
    "libGLX_nvidia": ("libGLX_indirect.so.0",),
    "libnvidia-opticalflow": ("libnvidia-opticalflow.so.1", "libnvidia-opticalflow.so"),
    "libnvidia-allocator": ("libnvidia-allocator.so.1", "gbm/nvidia-drm_gbm.so"),
    "libnvidia-vulkan-producer": ("libnvidia-vulkan-producer.so",),
}
"""Names that programs use, even if the host has no links with these names."""


def debian_folder(machine: str) -> str:
    return f"/usr/lib/{machine}-linux-gnu"


def library_edits(libraries: Iterable[Library], machine: str, options: CdiOptions) -> Edits:
    """Mounts the libraries and creates their links."""
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
    """Adds the hook that enters the folders of all mounted libraries in the loader cache."""
    places = [PurePosixPath(mount.container_path) for mount in mounts]
    folders = {str(place.parent) for place in places if place.name.startswith("lib") and ".so" in place.name}
    args = [word for folder in sorted(folders) for word in ("--folder", folder)]
    return Edits(hooks=hook(options, LDCACHE, *args) if args else ())


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
    """Returns the target of a link: the name with the version of the interface, or the name of the file if there is no such name."""
    versioned = f"{library.stem}.so.1"
    known = {*library.names, *_MORE_NAMES.get(library.stem, ())}
    target = versioned if name != versioned and versioned in known else library.names[0]
    return relpath(f"/{target}", PurePosixPath(f"/{name}").parent)


def _mount(library: Library, folder: str, name: str, options: CdiOptions) -> MountEdit:
    return MountEdit(host_path=options.roots.driver_path(library.path), container_path=f"{folder}/{name}")
