"""GPUs under WSL 2: one device node for all of them, and the Windows driver's files. Source: NVIDIA, CUDA on WSL User Guide."""

from dataclasses import replace
from pathlib import PurePosixPath

from device_plugin.cdi.devices import Devices, node_edits
from device_plugin.cdi.driver import mount_files
from device_plugin.cdi.hooks import LDCACHE, LINKS, has_hook, link_hook
from device_plugin.cdi.kinds import VOID
from device_plugin.cdi.libraries import RHEL_FOLDER, cache_edits, debian_folder
from device_plugin.cdi.options import CdiOptions
from node_core.domain.cdi import ALL, CdiDevice, Edits, merge
from node_core.domain.inventory import Inventory
from node_core.host.device_nodes import DeviceNodes
from node_core.host.driver_files import DriverFiles
from node_core.host.driver_root import DriverFile

DXG = "/dev/dxg"
SMI = "/usr/bin/nvidia-smi"
HOOKS: tuple[str, ...] = (LINKS, LDCACHE)
_CUDA_NAMES = ("libcuda.so.1.1", "libcuda.so.1", "libcuda.so")


def wsl_edits(driver: DriverFiles, options: CdiOptions) -> Edits:
    """Libraries stay at the paths by which they find each other, and are found by programs in their cache or in the loader's folders."""
    mounts = mount_files(driver.wsl, options)
    return merge(
        [
            Edits(mounts=mounts),
            _smi(driver, options),
            cache_edits(mounts, options),
            Edits(mounts=() if has_hook(options, LDCACHE) else mount_files(_for_loaders(driver), options)),
            Edits(env=(VOID,)),
        ]
    )


def plan_wsl(inventory: Inventory, nodes: DeviceNodes, options: CdiOptions) -> Devices:
    """Whichever GPU is asked for: all of them."""
    edits = node_edits([DXG], nodes, options)
    if not edits:
        return Devices(notes=(f"There is no CDI spec for gpu: there is no device node {options.roots.dev_path(DXG)}.",))
    return Devices(devices=(CdiDevice(name=ALL, edits=edits),), names={gpu.uuid: ALL for gpu in inventory.gpus})


def _smi(driver: DriverFiles, options: CdiOptions) -> Edits:
    programs = [file for file in driver.wsl if PurePosixPath(file.place).name == "nvidia-smi"][:1]
    if has_hook(options, LINKS):
        return Edits(hooks=link_hook(options, [(file.place, SMI) for file in programs]))
    return Edits(mounts=mount_files([replace(file, place=SMI) for file in programs], options))


def _for_loaders(driver: DriverFiles) -> list[DriverFile]:
    libraries = [file for file in driver.wsl if ".so" in PurePosixPath(file.place).suffixes]
    return [
        replace(file, place=f"{folder}/{name}")
        for file in libraries
        for folder in (RHEL_FOLDER, debian_folder(driver.machine))
        for name in _names(PurePosixPath(file.place).name)
    ]


def _names(name: str) -> tuple[str, ...]:
    return _CUDA_NAMES if name == _CUDA_NAMES[0] else (name,)
