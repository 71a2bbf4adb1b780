"""Builds the edits that give every GPU container the driver's files and control nodes."""

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from gpu_core.cdi.devices import node_edits
from gpu_core.cdi.hook_program import COMPAT, HOST_DRIVER, LDCACHE, LINKS, NO_NODES, PROFILE
from gpu_core.cdi.hooks import COMPAT_BY_DRIVER, has_hook, hook, link_hook
from gpu_core.cdi.kinds import CONTROL_NODES, VOID
from gpu_core.cdi.libraries import cache_edits, library_edits
from gpu_core.cdi.options import EXPLICIT_LIBRARIES, NO_IPC, CdiOptions
from gpu_core.domain.cdi import READ_ONLY, SOCKET, Edits, MountEdit, merge
from gpu_core.domain.inventory import Inventory
from gpu_core.host.device_nodes import DeviceNodes
from gpu_core.host.driver_files import DriverFiles
from gpu_core.host.driver_libraries import SHARED_STEMS
from gpu_core.host.driver_root import DriverFile, Layout
from node_core.values import replace

HOOKS: tuple[str, ...] = (LINKS, COMPAT_BY_DRIVER, LDCACHE, NO_NODES, PROFILE)
_NEEDED_NODES = ("/dev/nvidia-uvm", "/dev/nvidiactl")
_GLX_SERVER = "libglxserver_nvidia.so"


def driver_edits(driver: DriverFiles, nodes: DeviceNodes, options: CdiOptions) -> Edits:
    """Adds control nodes, libraries, programs, firmware, configuration and sockets, in the order of NVIDIA's specifications."""
    is_explicit = EXPLICIT_LIBRARIES in options.feature_flags
    selected = [library for library in driver.libraries if is_explicit or library.stem not in SHARED_STEMS]
    libraries = library_edits(selected, driver.machine, options)
    files = (*driver.configs, *driver.xorg, *driver.firmware, *driver.binaries)
    version = driver.version or ""
    return merge(
        [
            node_edits(CONTROL_NODES, nodes, options),
            libraries,
            _glx_link(driver, options),
            Edits(hooks=hook(options, COMPAT, f"{HOST_DRIVER}={version}") if version else ()),
            cache_edits(libraries.mounts, options),
            Edits(hooks=(*hook(options, NO_NODES), *hook(options, PROFILE))),
            Edits(mounts=mount_files(files, options)),
            Edits(mounts=() if NO_IPC in options.feature_flags else mount_files(driver.sockets, options, SOCKET)),
            Edits(env=_env(libraries.mounts)),
        ]
    )


def driver_notes(inventory: Inventory, driver: DriverFiles, nodes: DeviceNodes, options: CdiOptions) -> Iterator[str]:
    """Yields a sentence for each feature that does not work in containers."""
    for path in _NEEDED_NODES:
        if inventory.gpus and path not in nodes.nodes:
            yield f"The device node {options.roots.dev_path(path)} does not exist: CUDA does not work in containers without it."
    loaded = inventory.driver.version if inventory.driver else None
    if loaded and driver.version and loaded != driver.version:
        root = options.roots.driver
        yield f"The loaded driver is {loaded}, but the libraries below {root} are {driver.version}: load the installed kernel module."
    if driver.layout is Layout.NIXOS:
        yield "Programs from the Nix store, such as nvidia-smi, require the Nix loader: they run only in images that contain it."


def mount_files(
    files: Iterable[DriverFile], options: CdiOptions, how: tuple[str, ...] = READ_ONLY
) -> tuple[MountEdit, ...]:
    return tuple(
        MountEdit(host_path=options.roots.driver_path(file.path), container_path=file.place, options=how)
        for file in files
    )


def _glx_link(driver: DriverFiles, options: CdiOptions) -> Edits:
    """The X server loads its GLX module by a name without a version."""
    modules = [module for module in driver.xorg if _GLX_SERVER in module.place]
    links = [(module, str(PurePosixPath(module.place).with_name(_GLX_SERVER))) for module in modules]
    if has_hook(options, LINKS):
        return Edits(hooks=link_hook(options, [(PurePosixPath(module.place).name, link) for module, link in links]))
    return Edits(mounts=mount_files([replace(module, place=link) for module, link in links], options))


def _env(mounts: Iterable[MountEdit]) -> tuple[str, ...]:
    places = [PurePosixPath(mount.container_path) for mount in mounts]
    folders = dict.fromkeys(str(place.parent) for place in places if place.name.startswith("libcuda.so"))
    return (*([f"NVIDIA_CTK_LIBCUDA_DIR={':'.join(folders)}"] if folders else []), VOID)
