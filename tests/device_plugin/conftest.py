"""GPUs and short folder paths for the tests of the device plugin."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from gpu_core.domain.inventory import (
    ComputeCapability,
    Gpu,
    GpuUuid,
    MigAttributes,
    MigDevice,
    MigFault,
    MigUuid,
    NvLinkPeer,
)
from node_core.domain.pci import PciAddress

MakeGpu = Callable[..., Gpu]


def address(index: int) -> PciAddress:
    return PciAddress(f"0000:{index:02x}:00.0")


def mig(gpu: int, slot: int, profile: str | None) -> MigDevice:
    attributes = MigAttributes(
        memory_mib=9856, multiprocessors=16, gpu_instance_slices=1, compute_instance_slices=1, copy_engines=1,
        decoders=1, encoders=0, jpeg_engines=1, ofa_engines=0,
    )  # fmt: skip
    return MigDevice(
        uuid=MigUuid(f"MIG-{gpu}-{slot}"), slot=slot, gpu_instance=slot, compute_instance=0, profile=profile,
        attributes=attributes,
    )  # fmt: skip


def make_gpu(
    index: int,
    profiles: Sequence[str | None] | None = None,
    *,
    numa: int | None = None,
    links: dict[int, int] | None = None,
    broken: Sequence[int] = (),
) -> Gpu:
    """profiles: None for a whole GPU. links: GPU index -> number of NVLinks to it. broken: unreadable MIG slots."""
    return Gpu(
        index=index,
        uuid=GpuUuid(f"GPU-{index}"),
        minor=index,
        model="NVIDIA H100 80GB HBM3",
        memory_bytes=80 << 30,
        compute=ComputeCapability(major=9, minor=0),
        address=address(index),
        numa_node=numa,
        mig_capable=True,
        mig_enabled=profiles is not None,
        mig_devices=tuple(mig(index, slot, profile) for slot, profile in enumerate(profiles or ())),
        mig_faults=tuple(MigFault(slot=slot, reason="nvmlDeviceGetAttributes returned UNKNOWN") for slot in broken),
        peers=tuple(NvLinkPeer(address=address(peer), links=count) for peer, count in (links or {}).items()),
    )


@pytest.fixture
def gpu() -> MakeGpu:
    return make_gpu


@pytest.fixture
def directory() -> Iterator[Path]:
    """A folder with a short path, because tmp_path is too long for a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="k-") as path:
        yield Path(path)
