"""Builds the CDI device for the GPU of a Jetson from the Jetson's file lists. Source: NVIDIA Container Runtime on Jetson, mount plugins."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from gpu_core.cdi.devices import PlannedDevices, node_edits
from gpu_core.cdi.driver import mount_files
from gpu_core.cdi.hook_program import COMPAT, HOST_CUDA, LDCACHE, LINKS
from gpu_core.cdi.hooks import COMPAT_BY_CUDA, has_hook, hook, link_hook
from gpu_core.cdi.kinds import VOID
from gpu_core.cdi.libraries import cache_edits, debian_folder
from gpu_core.cdi.options import CdiOptions
from gpu_core.domain.cdi import CdiDevice, Edits, merge
from gpu_core.domain.inventory import Inventory
from gpu_core.host.device_nodes import DeviceNodes
from gpu_core.host.driver_root import DriverFile
from gpu_core.host.mig_caps import MIG_MINORS, mig_capabilities
from gpu_core.host.tegra import TegraFiles
from node_core.values import replace

TEGRA = "tegra"
"""The name of a Jetson's GPU if devices are named by UUID."""
HOOKS: tuple[str, ...] = (LINKS, COMPAT_BY_CUDA, LDCACHE)
_MAX_PATHS = 5


def plan_tegra(inventory: Inventory, tegra: TegraFiles, nodes: DeviceNodes, options: CdiOptions) -> PlannedDevices:
    """Builds one device with a fixed name, because a Jetson without NVML has no UUID. In MIG mode, builds a device for each MIG device."""
    if any(gpu.mig_enabled for gpu in inventory.gpus):
        return _plan_mig(inventory, tegra, nodes, options)
    name = TEGRA if options.id_strategy == "uuid" else "0"
    edits = node_edits(tegra.devices, nodes, options)
    notes = tuple(_notes(tegra, options))
    if not edits:
        return PlannedDevices(
            notes=(
                "No CDI specification for gpu: none of the device nodes in the Jetson's file lists exists.",
                *notes,
            )
        )
    ids = (TEGRA, *(gpu.uuid for gpu in inventory.gpus))
    return PlannedDevices(devices=(CdiDevice(name=name, edits=edits),), names=dict.fromkeys(ids, name), notes=notes)


def _plan_mig(inventory: Inventory, tegra: TegraFiles, nodes: DeviceNodes, options: CdiOptions) -> PlannedDevices:
    """Each MIG device has the device nodes of the Jetson's file lists and the capability nodes of its instances."""
    devices: list[CdiDevice] = []
    names: dict[str, str] = {}
    notes = list(_notes(tegra, options))
    for gpu, mig in ((each, mig) for each in inventory.gpus for mig in each.mig_devices):
        index = f"{gpu.index}:{mig.slot}"
        capabilities = mig_capabilities(gpu.minor or 0, mig.gpu_instance, mig.compute_instance)
        paths = [path for each in capabilities if (path := nodes.caps.node(each)) is not None]
        if len(paths) < len(capabilities):
            notes.append(
                f"MIG device {index} ({mig.uuid}) has no CDI device: {MIG_MINORS} does not list its capabilities."
            )
            continue
        names[mig.uuid] = mig.uuid if options.id_strategy == "uuid" else index
        edits = node_edits(dict.fromkeys((*tegra.devices, *paths)), nodes, options)
        devices.append(CdiDevice(name=names[mig.uuid], edits=edits))
    return PlannedDevices(devices=tuple(devices), names=names, notes=tuple(notes))


def tegra_edits(inventory: Inventory, tegra: TegraFiles, options: CdiOptions) -> Edits:
    mounts = mount_files(tegra.files, options)
    cuda = inventory.driver.cuda if inventory.driver else None
    compat = hook(options, COMPAT, f"{HOST_CUDA}={cuda.major}.{cuda.minor}") if cuda else ()
    return merge(
        [
            Edits(mounts=mounts),
            _links(tegra, options),
            Edits(hooks=compat),
            cache_edits(mounts, options),
            Edits(mounts=() if has_hook(options, LDCACHE) else mount_files(_loader_mounts(tegra), options)),
            Edits(env=(VOID,)),
        ]
    )


def _notes(tegra: TegraFiles, options: CdiOptions) -> Iterator[str]:
    if tegra.missing:
        paths = ", ".join(map(options.roots.driver_path, tegra.missing[:_MAX_PATHS]))
        yield f"CDI specifications omit {len(tegra.missing)} files of the Jetson's file lists, because they do not exist: {paths} ..."


def _links(tegra: TegraFiles, options: CdiOptions) -> Edits:
    if has_hook(options, LINKS):
        return Edits(hooks=link_hook(options, [(target, file.place) for target, file in tegra.links]))
    return Edits(mounts=mount_files([file for _, file in tegra.links], options))


def _loader_mounts(tegra: TegraFiles) -> list[DriverFile]:
    """Images for Jetsons are based on Ubuntu. Its loader searches the Debian folder; the folders of L4T require the loader cache."""
    folder = debian_folder("aarch64")
    files = (*tegra.files, *(file for _, file in tegra.links))
    names = [(file, PurePosixPath(file.place).name) for file in files]
    return [replace(file, place=f"{folder}/{name}") for file, name in names if name.startswith("lib") and ".so" in name]
