"""Builds the CDI device under WSL 2: one device node for all GPUs, and the Windows driver's files.

Source: NVIDIA, CUDA on WSL User Guide.
"""

from pathlib import PurePosixPath

from gpu_core.cdi.devices import PlannedDevices, node_edits
from gpu_core.cdi.driver import mount_files
from gpu_core.cdi.hook_program import LDCACHE, LINKS
from gpu_core.cdi.hooks import has_hook, link_hook
from gpu_core.cdi.kinds import VOID
from gpu_core.cdi.libraries import RHEL_FOLDER, cache_edits, debian_folder
from gpu_core.cdi.options import CdiOptions
from gpu_core.domain.cdi import ALL, CdiDevice, Edits, merge
from gpu_core.domain.inventory import Inventory
from gpu_core.host.device_nodes import DeviceNodes
from gpu_core.host.driver_files import DriverFiles
from gpu_core.host.driver_root import DriverFile
from node_core.values import replace

DXG = "/dev/dxg"
SMI = "/usr/bin/nvidia-smi"
HOOKS: tuple[str, ...] = (LINKS, LDCACHE)
_CUDA_NAMES = ("libcuda.so.1.1", "libcuda.so.1", "libcuda.so")


def wsl_edits(driver: DriverFiles, options: CdiOptions) -> Edits:
    """Mounts libraries at their host paths, by which they load each other, and makes them available to the loader."""
    mounts = mount_files(driver.wsl, options)
    return merge(
        [
            Edits(mounts=mounts),
            _smi(driver, options),
            cache_edits(mounts, options),
            Edits(mounts=() if has_hook(options, LDCACHE) else mount_files(_loader_mounts(driver), options)),
            Edits(env=(VOID,)),
        ]
    )


def plan_wsl(inventory: Inventory, nodes: DeviceNodes, options: CdiOptions) -> PlannedDevices:
    """Builds one device that provides all GPUs."""
    edits = node_edits([DXG], nodes, options)
    if not edits:
        return PlannedDevices(
            notes=(f"No CDI specification for gpu: the device node {options.roots.dev_path(DXG)} does not exist.",)
        )
    return PlannedDevices(devices=(CdiDevice(name=ALL, edits=edits),), names={gpu.uuid: ALL for gpu in inventory.gpus})


def _smi(driver: DriverFiles, options: CdiOptions) -> Edits:
    programs = [file for file in driver.wsl if PurePosixPath(file.place).name == "nvidia-smi"][:1]
    if has_hook(options, LINKS):
        return Edits(hooks=link_hook(options, [(file.place, SMI) for file in programs]))
    return Edits(mounts=mount_files([replace(file, place=SMI) for file in programs], options))


def _loader_mounts(driver: DriverFiles) -> list[DriverFile]:
    libraries = [file for file in driver.wsl if ".so" in PurePosixPath(file.place).suffixes]
    return [
        replace(file, place=f"{folder}/{name}")
        for file in libraries
        for folder in (RHEL_FOLDER, debian_folder(driver.machine))
        for name in (_CUDA_NAMES if file.place.endswith(f"/{_CUDA_NAMES[0]}") else (PurePosixPath(file.place).name,))
    ]
