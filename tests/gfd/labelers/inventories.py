"""Inventories for the tests of labelers, and the labels of a topic."""

from typing import Any

from gfd.labelers import LabelOptions, labels
from gpu_core.domain.inventory import ComputeCapability, CudaVersion, Driver, Fault, Gpu, GpuUuid, Inventory, NvLinkPeer
from gpu_core.domain.mig import MIB
from node_core.domain.pci import PciAddress
from node_core.values import replace

T4 = "Tesla T4"
A40 = "NVIDIA A40"
OPTIONS = LabelOptions(machine="DGX H100", timestamp=1700000000)
DRIVER = Driver(version="550.54.15", cuda=CudaVersion(major=12, minor=4))


def address(number: int) -> PciAddress:
    return PciAddress(f"0000:{number:02x}:00.0")


def gpu(index: int, model: str = T4, **fields: Any) -> Gpu:
    return replace(
        Gpu(
            index=index,
            uuid=GpuUuid(f"GPU-{index}"),
            minor=index,
            model=model,
            memory_bytes=15360 * MIB,
            compute=ComputeCapability(major=7, minor=5),
            address=address(index),
        ),
        **fields,
    )


def linked(index: int, *others: int, **fields: Any) -> Gpu:
    """A GPU with NVLinks to other GPUs."""
    return gpu(index, peers=tuple(NvLinkPeer(address=address(other), links=4) for other in others), **fields)


def node(*gpus: Gpu, driver: Driver | None = DRIVER, faults: tuple[Fault, ...] = ()) -> Inventory:
    return Inventory(driver=driver, gpus=gpus, faults=faults)


def labels_below(prefix: str, inventory: Inventory, options: LabelOptions = OPTIONS) -> dict[str, str]:
    """Returns the labels below nvidia.com/ + prefix, by the rest of their keys."""
    start = f"nvidia.com/{prefix}"
    found = labels(inventory, options)
    return {key.removeprefix(start): value for key, value in found.items() if key.startswith(start)}
