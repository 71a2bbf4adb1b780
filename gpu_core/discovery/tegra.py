"""Discovers the GPUs of an SoC through CUDA. A GPU that cannot be read is a fault and does not affect the others."""

from gpu_core.discovery.cuda import Cuda
from gpu_core.domain.inventory import UNKNOWN_VERSION, ComputeCapability, Driver, Fault, Gpu, Inventory, Platform
from gpu_core.host.platform import tegra_id
from gpu_core.nvml.inventory import parse_cuda_version, query_optional
from node_core.errors import NvmlError


def read_tegra(cuda: Cuda) -> Inventory:
    """Runs one discovery. Raises NvmlError if CUDA does not report the number of GPUs."""
    version = parse_cuda_version(query_optional(cuda.driver_get_version))
    found = [read_gpu(cuda, index) for index in range(cuda.device_get_count())]
    return Inventory(
        driver=Driver(version=UNKNOWN_VERSION, cuda=version),
        gpus=tuple(one for one in found if isinstance(one, Gpu)),
        faults=tuple(one for one in found if isinstance(one, Fault)),
        why_empty=None if found else "CUDA reports no GPU",
        platform=Platform.TEGRA,
    )


def read_gpu(cuda: Cuda, index: int) -> Gpu | Fault:
    try:
        compute = query_optional(lambda: cuda.device_compute_capability(index))
        return Gpu(
            index=index,
            uuid=tegra_id(index),
            minor=None,
            model=cuda.device_get_name(index),
            memory_bytes=query_optional(lambda: cuda.device_total_mem(index)) or None,
            compute=None if compute is None else ComputeCapability(major=compute[0], minor=compute[1]),
            address=None,
        )
    except NvmlError as error:
        return Fault(index=index, uuid=tegra_id(index), reason=str(error))
