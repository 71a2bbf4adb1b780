"""The GPU of a Jetson: what its own lists name. Source: NVIDIA Container Runtime on Jetson, mount plugins."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from device_plugin.cdi.devices import Devices, node_edits
from device_plugin.cdi.driver import mount_files
from device_plugin.cdi.hooks import COMPAT, LDCACHE, LINKS, has_hook, hook, link_hook
from device_plugin.cdi.kinds import VOID
from device_plugin.cdi.libraries import cache_edits, debian_folder
from device_plugin.cdi.options import CdiOptions
from node_core.domain.cdi import CdiDevice, Edits, merge
from node_core.domain.inventory import Inventory
from node_core.host.device_nodes import DeviceNodes
from node_core.host.driver_root import DriverFile
from node_core.host.tegra import TegraFiles

TEGRA = "tegra"
"""What a Jetson's GPU is called where devices are called by UUID."""
HOOKS: tuple[str, ...] = (LINKS, COMPAT, LDCACHE)
_MOST_NAMED = 5


def plan_tegra(inventory: Inventory, tegra: TegraFiles, nodes: DeviceNodes, options: CdiOptions) -> Devices:
    """One device; a Jetson that NVML does not know has no UUID to call it by."""
    name = TEGRA if options.id_strategy == "uuid" else "0"
    edits = node_edits(tegra.devices, nodes, options)
    notes = tuple(_notes(tegra, options))
    if not edits:
        return Devices(
            notes=(
                "There is no CDI spec for gpu: none of the device nodes that the Jetson's lists name is there.",
                *notes,
            )
        )
    ids = (TEGRA, *(gpu.uuid for gpu in inventory.gpus))
    return Devices(devices=(CdiDevice(name=name, edits=edits),), names=dict.fromkeys(ids, name), notes=notes)


def tegra_edits(inventory: Inventory, tegra: TegraFiles, options: CdiOptions) -> Edits:
    mounts = mount_files(tegra.files, options)
    cuda = inventory.driver.cuda if inventory.driver else None
    compat = hook(options, COMPAT, f"--host-cuda-version={cuda.major}.{cuda.minor}") if cuda else ()
    return merge(
        [
            Edits(mounts=mounts),
            _links(tegra, options),
            Edits(hooks=compat),
            cache_edits(mounts, options),
            Edits(mounts=() if has_hook(options, LDCACHE) else mount_files(_for_loaders(tegra), options)),
            Edits(env=(VOID,)),
        ]
    )


def _notes(tegra: TegraFiles, options: CdiOptions) -> Iterator[str]:
    if tegra.missing:
        named = ", ".join(map(options.roots.driver_path, tegra.missing[:_MOST_NAMED]))
        yield f"{len(tegra.missing)} of the files that the Jetson's lists name are not there and in no CDI spec: {named} ..."


def _links(tegra: TegraFiles, options: CdiOptions) -> Edits:
    if has_hook(options, LINKS):
        return Edits(hooks=link_hook(options, [(target, file.place) for target, file in tegra.links]))
    return Edits(mounts=mount_files([file for _, file in tegra.links], options))


def _for_loaders(tegra: TegraFiles) -> list[DriverFile]:
    """Images for Jetsons are of Ubuntu: its loader looks in its folder by itself, and in those of L4T by its cache only."""
    folder = debian_folder("aarch64")
    files = (*tegra.files, *(file for _, file in tegra.links))
    names = [(file, PurePosixPath(file.place).name) for file in files]
    return [replace(file, place=f"{folder}/{name}") for file, name in names if name.startswith("lib") and ".so" in name]
