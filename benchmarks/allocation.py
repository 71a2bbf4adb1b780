"""How long the kubelet waits for an answer: the preferred devices, and an allocation through gRPC.

    .venv/bin/python benchmarks/allocation.py [runs]

Prints medians with minimum and maximum, in milliseconds; for a node of GPUs, of the size of request that takes longest. Allocate goes
over a unix socket to a plugin that serves as it does on a node, and its 50th and 99th percentiles are those of ten times as many calls.
"""

import itertools
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from device_plugin.allocate.preferred import preferred_ids
from device_plugin.allocate.strategies import Answering, build_strategies
from device_plugin.devices import Device, DeviceId, Offer
from device_plugin.plan.found import find_devices
from device_plugin.plugin import ResourcePlugin
from node_core.domain.inventory import Gpu, GpuUuid, Inventory, NvLinkPeer, PciAddress
from node_core.domain.resources import GPU
from node_core.domain.sharing import SharingStrategy
from node_core.kubelet.client import PluginClient

Links = Callable[[int, int], int]


def node(count: int, links: Links) -> Offer:
    """links: how many NVLinks there are between a lower and a higher GPU."""
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
    return Offer(devices=find_devices(Inventory(driver=None, gpus=tuple(gpus))))


def address(index: int) -> PciAddress:
    return PciAddress(f"0000:{index:02x}:00.0")


def shared(gpus: int, replicas: int) -> Offer:
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
    return Offer(devices=tuple(devices), sharing=SharingStrategy.TIME_SLICING, policy="distributed")


def random_links(seed: int) -> Links:
    """Nothing is alike, so nothing can be left out of the search."""
    chance = random.Random(seed)
    table = {pair: chance.choice([0, 0, 1, 2, 6, 12]) for pair in itertools.combinations(range(16), 2)}
    return lambda one, other: table[one, other]


CUBE = {(0, 1): 1, (0, 2): 1, (0, 3): 2, (0, 4): 2, (1, 2): 2, (1, 3): 1, (1, 5): 2, (2, 3): 2, (2, 6): 1, (3, 7): 1,
        (4, 5): 1, (4, 6): 1, (4, 7): 2, (5, 6): 2, (5, 7): 1, (6, 7): 2}  # fmt: skip
"""NVLinks of a DGX-1."""

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


def asked(offer: Offer, size: int) -> Callable[[], object]:
    table = {device.id: device for device in offer.devices}
    ids = [str(device.id) for device in offer.devices]
    random.Random(1).shuffle(ids)
    return lambda: preferred_ids(offer, table, ids, (), size)


def worst(offer: Offer, runs: int) -> tuple[int, list[float]]:
    """The size of request that takes longest."""
    sizes = {size: milliseconds(asked(offer, size), runs) for size in range(1, len(offer.devices) + 1)}
    return max(sizes.items(), key=lambda item: statistics.median(item[1]))


def in_process(runs: int) -> None:
    for name, offer in NODES.items():
        size, times = worst(offer, runs)
        show(f"preferred, {name}, {size} of them", times)
    show("preferred, 400 of 800 replicas", milliseconds(asked(shared(8, 100), 400), runs))


def through_grpc(runs: int) -> None:
    for name, offer, ids in offers():
        with tempfile.TemporaryDirectory(prefix="k-") as directory:
            path = Path(directory)
            plugin = ResourcePlugin(
                GPU,
                offer,
                directory=path,
                kubelet_socket=path / "kubelet.sock",
                strategies=build_strategies(Answering(), lambda: "token"),
            )
            plugin.serve()
            try:
                with PluginClient(plugin.path) as client:
                    measure(client, name, offer, ids, runs)
            finally:
                plugin.stop()


def offers() -> Iterator[tuple[str, Offer, list[str]]]:
    yield "1 of 8 GPUs", NODES["8 GPUs, DGX-1"], ["GPU-3"]
    yield "8 of 8 GPUs", NODES["8 GPUs, DGX-1"], [f"GPU-{index}" for index in range(8)]
    yield "1 of 800 replicas", shared(8, 100), ["GPU-3::7"]


def measure(client: PluginClient, name: str, offer: Offer, ids: list[str], runs: int) -> None:
    every = [str(device.id) for device in offer.devices]
    show(f"gRPC, preferred, {name}", milliseconds(lambda: client.preferred(every, (), len(ids)), runs))
    times = sorted(milliseconds(lambda: client.allocate(ids), 10 * runs))
    p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
    print(f"{f'gRPC, Allocate, {name}':52} {p50:7.3f} ms p50, {p99:.3f} ms p99")


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    in_process(runs)
    through_grpc(runs)


if __name__ == "__main__":
    main()
