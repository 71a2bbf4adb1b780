"""Lists the devices of an inventory: GPUs without MIG mode, and MIG devices. PURE.

Under WSL one device node provides all GPUs, and the GPU of a Jetson has no UUID. Both platforms have one device with a fixed name. A Jetson
in MIG mode has its MIG devices.
"""

from collections.abc import Mapping

from device_plugin.devices import Device, DeviceId
from device_plugin.plan.link_weights import weigh_links
from gpu_core.domain.inventory import Gpu, GpuUuid, Inventory, MigDevice, Platform
from gpu_core.host.mig_caps import MigCaps, mig_capabilities
from node_core.values import replace

WSL_DEVICE = "all"
WSL_NODE = "/dev/dxg"
TEGRA_DEVICE = "tegra"
NO_CAPS = MigCaps()


def list_present_devices(inventory: Inventory, caps: MigCaps = NO_CAPS) -> tuple[Device, ...]:
    """caps: the device nodes of MIG capabilities."""
    match inventory.platform:
        case Platform.WSL:
            return tuple(_named(gpu, WSL_DEVICE, index=WSL_DEVICE, paths=(WSL_NODE,)) for gpu in inventory.gpus[:1])
        case Platform.TEGRA:
            if any(gpu.mig_enabled for gpu in inventory.gpus):
                return tuple(device for gpu in inventory.gpus for device in _gpu_devices(gpu, {}, caps))
            return tuple(_named(gpu, TEGRA_DEVICE, index="0", paths=()) for gpu in inventory.gpus[:1])
        case Platform.NVML:
            links = weigh_links(inventory.gpus)
            return tuple(device for gpu in inventory.gpus for device in _gpu_devices(gpu, links[gpu.uuid], caps))


def _gpu_devices(gpu: Gpu, links: Mapping[GpuUuid, int], caps: MigCaps) -> tuple[Device, ...]:
    device = replace(_gpu_device(gpu), links=links)
    return tuple(_mig_device(device, gpu, mig, caps) for mig in gpu.mig_devices) if gpu.mig_enabled else (device,)


def _named(gpu: Gpu, name: str, *, index: str, paths: tuple[str, ...]) -> Device:
    return replace(_gpu_device(gpu), id=DeviceId(name), uuid=name, index=index, paths=paths)


def _gpu_device(gpu: Gpu) -> Device:
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


def _mig_device(device: Device, gpu: Gpu, mig: MigDevice, caps: MigCaps) -> Device:
    return replace(
        device,
        id=DeviceId(mig.uuid),
        uuid=mig.uuid,
        index=f"{gpu.index}:{mig.slot}",
        gpu_instance=mig.gpu_instance,
        compute_instance=mig.compute_instance,
        profile=mig.profile,
        paths=(*device.paths, *_capability_nodes(gpu, mig, caps)),
    )


def _capability_nodes(gpu: Gpu, mig: MigDevice, caps: MigCaps) -> tuple[str, ...]:
    if gpu.minor is None:
        return ()
    nodes = (caps.node(name) for name in mig_capabilities(gpu.minor, mig.gpu_instance, mig.compute_instance))
    return tuple(node for node in nodes if node is not None)
