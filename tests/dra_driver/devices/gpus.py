"""GPUs for tests of devices."""

from typing import Any

from gpu_core.domain.inventory import (
    ComputeCapability,
    CudaVersion,
    Driver,
    Gpu,
    GpuUuid,
    Inventory,
    MigAttributes,
    MigDevice,
    MigUuid,
)
from gpu_core.mig.model import MigGpu
from node_core.domain.pci import PciAddress
from tests.gpu_core.mig.boards import H100, mig_gpu

DRIVER = Driver(version="550.54.15", cuda=CudaVersion(major=12, minor=4))


def gpu(index: int = 0, **changes: Any) -> Gpu:
    values: dict[str, Any] = {
        "uuid": GpuUuid(f"GPU-{index}"),
        "minor": index,
        "model": H100,
        "memory_bytes": 80 << 30,
        "compute": ComputeCapability(major=9, minor=0),
        "address": PciAddress(f"0000:{index:02x}:00.0"),
        "numa_node": index // 4,
        "mig_capable": True,
    }
    return Gpu(index=index, **{**values, **changes})


def inventory(*gpus: Gpu, **changes: Any) -> Inventory:
    return Inventory(driver=DRIVER, gpus=gpus, **changes)


def mig_of(each: Gpu, model: str = H100, **changes: Any) -> MigGpu:
    return mig_gpu(model, index=each.index, **changes)


def mig_device(gpu_instance: int, profile: str, start: int, compute_instance: int = 0) -> MigDevice:
    return MigDevice(
        uuid=MigUuid(f"MIG-{gpu_instance}-{compute_instance}"),
        slot=gpu_instance + compute_instance,
        gpu_instance=gpu_instance,
        compute_instance=compute_instance,
        profile=profile,
        attributes=MigAttributes(
            memory_mib=40000,
            multiprocessors=60,
            gpu_instance_slices=3,
            compute_instance_slices=3,
            copy_engines=3,
            decoders=3,
            encoders=0,
            jpeg_engines=3,
            ofa_engines=0,
        ),
        start=start,
    )
