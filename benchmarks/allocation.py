"""The time to select preferred devices, for many kinds of nodes. `make bench` measures the calls of the kubelet through gRPC.

    .venv/bin/python -m benchmarks.allocation [runs]

Prints medians with minimum and maximum, in milliseconds, for the slowest request size of each node.
"""

import itertools
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence

from device_plugin.allocate.preferred import select_preferred_ids
from device_plugin.devices import Device, DeviceId, ResourceOffer
from device_plugin.plan.present import list_present_devices
from gpu_core.domain.inventory import Gpu, GpuUuid, Inventory, NvLinkPeer
from gpu_core.domain.sharing import SharingStrategy
from node_core.domain.pci import PciAddress

Links = Callable[[int, int], int]


def node(count: int, links: Links) -> ResourceOffer:
    """links: returns the number of NVLinks between two GPUs, the lower index first."""
    gpus = (
        Gpu(
            index=index,
            uuid=GpuUuid(f"GPU-{index}"),
            minor=index,
            model="",
            memory_bytes=None,
            compute=None,
            address=address(index),
            numa_node=index * 2 // count,
            peers=tuple(
                NvLinkPeer(address=address(other), links=links(min(index, other), max(index, other)))
                for other in range(count)
                if other != index
            ),
        )
        for index in range(count)
    )
    return ResourceOffer(devices=list_present_devices(Inventory(driver=None, gpus=tuple(gpus))))


def address(index: int) -> PciAddress:
    return PciAddress(f"0000:{index:02x}:00.0")


def shared(gpus: int, replicas: int) -> ResourceOffer:
    devices = (
        Device(
            id=DeviceId(f"GPU-{gpu}::{replica}"),
            uuid=f"GPU-{gpu}",
            index=str(gpu),
            gpu=GpuUuid(f"GPU-{gpu}"),
            replica=replica,
        )
        for gpu in range(gpus)
        for replica in range(replicas)
    )
    return ResourceOffer(devices=tuple(devices), sharing=SharingStrategy.TIME_SLICING, policy="distributed")


def random_links(seed: int) -> Links:
    """Random numbers of NVLinks, so that the search finds no equal GPUs to skip."""
    chance = random.Random(seed)
    table = {pair: chance.choice([0, 0, 1, 2, 6, 12]) for pair in itertools.combinations(range(16), 2)}
    return lambda one, other: table[one, other]


CUBE = {(0, 1): 1, (0, 2): 1, (0, 3): 2, (0, 4): 2, (1, 2): 2, (1, 3): 1, (1, 5): 2, (2, 3): 2, (2, 6): 1, (3, 7): 1,
        (4, 5): 1, (4, 6): 1, (4, 7): 2, (5, 6): 2, (5, 7): 1, (6, 7): 2}  # fmt: skip
"""The NVLinks of a DGX-1."""

NODES = {
    "8 GPUs, DGX-1": node(8, lambda one, other: CUBE.get((one, other), 0)),
    "8 GPUs, NVSwitch or PCIe": node(8, lambda _, __: 0),
    "8 GPUs, random": node(8, random_links(1)),
    "16 GPUs, NVSwitch": node(16, lambda _, __: 0),
    "16 GPUs, pairs": node(16, lambda one, other: 4 if one // 2 == other // 2 else 0),
    "16 GPUs, quads": node(16, lambda one, other: 4 if one // 4 == other // 4 else 0),
    "16 GPUs, ring": node(16, lambda one, other: 2 if (other - one) in (1, 15) else 0),
    **{f"16 GPUs, random {seed}": node(16, random_links(seed)) for seed in range(4)},
}


def milliseconds(call: Callable[[], object], runs: int) -> list[float]:
    def once() -> float:
        start = time.perf_counter()
        call()
        return (time.perf_counter() - start) * 1000

    once()
    return [once() for _ in range(runs)]


def show(what: str, times: Sequence[float]) -> None:
    print(f"{what:52} {statistics.median(times):7.3f} ms ({min(times):.3f}..{max(times):.3f})")


def preferred_call(offer: ResourceOffer, size: int) -> Callable[[], object]:
    table = {device.id: device for device in offer.devices}
    ids = [str(device.id) for device in offer.devices]
    random.Random(1).shuffle(ids)
    return lambda: select_preferred_ids(offer, table, ids, (), size)


def slowest_size(offer: ResourceOffer, runs: int) -> tuple[int, list[float]]:
    """Returns the slowest request size, and its times."""
    sizes = {size: milliseconds(preferred_call(offer, size), runs) for size in range(1, len(offer.devices) + 1)}
    return max(sizes.items(), key=lambda item: statistics.median(item[1]))


def in_process(runs: int) -> None:
    for name, offer in NODES.items():
        size, times = slowest_size(offer, runs)
        show(f"preferred, {name}, {size} devices", times)
    show("preferred, 400 of 800 replicas", milliseconds(preferred_call(shared(8, 100), 400), runs))


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    in_process(runs)


if __name__ == "__main__":
    main()
