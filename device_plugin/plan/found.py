"""The devices of an inventory: GPUs, and of those in MIG mode their MIG devices. PURE.

Under WSL containers get all GPUs through one device node, and a Jetson's GPU has no UUID: each is one device with a name of its own.
"""

from collections.abc import Mapping
from dataclasses import replace

from device_plugin.devices import Device, DeviceId
from device_plugin.plan.links import weigh_links
from node_core.domain.inventory import Gpu, GpuUuid, Inventory, MigDevice, Platform
from node_core.host.mig_caps import MigCaps, mig_capabilities

WSL_DEVICE = "all"
WSL_NODE = "/dev/dxg"
TEGRA_DEVICE = "tegra"
NO_CAPS = MigCaps()


def find_devices(inventory: Inventory, caps: MigCaps = NO_CAPS) -> tuple[Device, ...]:
    """caps: where the driver has the device nodes of MIG devices."""
    match inventory.platform:
        case Platform.WSL:
            return tuple(_named(gpu, WSL_DEVICE, index=WSL_DEVICE, paths=(WSL_NODE,)) for gpu in inventory.gpus[:1])
        case Platform.TEGRA:
            return tuple(_named(gpu, TEGRA_DEVICE, index="0", paths=()) for gpu in inventory.gpus[:1])
        case Platform.NVML:
            links = weigh_links(inventory.gpus)
            return tuple(device for gpu in inventory.gpus for device in _of(gpu, links[gpu.uuid], caps))


def _of(gpu: Gpu, links: Mapping[GpuUuid, int], caps: MigCaps) -> tuple[Device, ...]:
    whole = replace(_whole(gpu), links=links)
    return tuple(_part(whole, gpu, mig, caps) for mig in gpu.mig_devices) if gpu.mig_enabled else (whole,)


def _named(gpu: Gpu, name: str, *, index: str, paths: tuple[str, ...]) -> Device:
    return replace(_whole(gpu), id=DeviceId(name), uuid=name, index=index, paths=paths)


def _whole(gpu: Gpu) -> Device:
    return Device(
        id=DeviceId(gpu.uuid),
        uuid=gpu.uuid,
        index=str(gpu.index),
        gpu=gpu.uuid,
        minor=gpu.minor,
        model=gpu.model,
        compute=gpu.compute,
        paths=() if gpu.minor is None else (f"/dev/nvidia{gpu.minor}",),
        numa_node=gpu.numa_node,
        address=gpu.address,
    )


def _part(whole: Device, gpu: Gpu, mig: MigDevice, caps: MigCaps) -> Device:
    return replace(
        whole,
        id=DeviceId(mig.uuid),
        uuid=mig.uuid,
        index=f"{gpu.index}:{mig.slot}",
        gpu_instance=mig.gpu_instance,
        compute_instance=mig.compute_instance,
        profile=mig.profile,
        paths=(*whole.paths, *_capability_nodes(gpu, mig, caps)),
    )


def _capability_nodes(gpu: Gpu, mig: MigDevice, caps: MigCaps) -> tuple[str, ...]:
    if gpu.minor is None:
        return ()
    nodes = (caps.node(name) for name in mig_capabilities(gpu.minor, mig.gpu_instance, mig.compute_instance))
    return tuple(node for node in nodes if node is not None)
