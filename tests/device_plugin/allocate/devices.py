"""Builds GPUs and MIG devices, and requests preferred devices."""

from collections.abc import Mapping, Sequence

from device_plugin.allocate.preferred import select_preferred_ids
from device_plugin.devices import Device, DeviceId, Policy, ResourceOffer
from device_plugin.plan.present import list_present_devices
from gpu_core.domain.inventory import Gpu, GpuUuid, Inventory, PciPath, PciPeer
from node_core.values import replace
from tests.device_plugin.conftest import make_gpu

Links = dict[tuple[int, int], int]


Paths = Mapping[tuple[int, int], PciPath | None]


NO_PATHS: Paths = {}


def node(count: int, links: Links, numa: Sequence[int | None], paths: Paths = NO_PATHS) -> list[Device]:
    """links: (lower index, higher index) -> number of NVLinks. paths: the same -> PCI path."""

    def gpu(index: int) -> Gpu:
        straight = {peer: links.get((min(index, peer), max(index, peer)), 0) for peer in range(count) if peer != index}
        near = {peer: paths.get((min(index, peer), max(index, peer))) for peer in straight}
        return replace(
            make_gpu(index, numa=numa[index], links={peer: number for peer, number in straight.items() if number}),
            pci_peers=tuple(PciPeer(gpu=GpuUuid(f"GPU-{peer}"), path=path) for peer, path in near.items() if path),
        )

    return list(list_present_devices(Inventory(driver=None, gpus=tuple(map(gpu, range(count))))))


def mig_devices_of(*counts: int, numa: Sequence[int | None] = (None,) * 16) -> list[Device]:
    return [
        Device(
            id=DeviceId(f"MIG-{gpu}-{slot}"),
            uuid=f"MIG-{gpu}-{slot}",
            index=f"{gpu}:{slot}",
            gpu=GpuUuid(f"GPU-{gpu}"),
            numa_node=numa[gpu],
        )
        for gpu, count in enumerate(counts)
        for slot in range(count)
    ]


def prefer(
    devices: Sequence[Device],
    size: int,
    required: Sequence[str] = (),
    available: Sequence[str] = (),
    policy: Policy = "packed",
) -> list[str]:
    table = {device.id: device for device in devices}
    return list(
        select_preferred_ids(
            ResourceOffer(devices=tuple(devices), policy=policy),
            table,
            available or [device.id for device in devices],
            required,
            size,
        )
    )


CUBE: Links = {
    (0, 1): 1, (0, 2): 1, (0, 3): 2, (0, 4): 2, (1, 2): 2, (1, 3): 1, (1, 5): 2, (2, 3): 2, (2, 6): 1, (3, 7): 1,
    (4, 5): 1, (4, 6): 1, (4, 7): 2, (5, 6): 2, (5, 7): 1, (6, 7): 2,
}  # fmt: skip
"""NVLinks of a DGX-1."""
