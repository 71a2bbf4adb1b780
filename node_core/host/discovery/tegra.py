"""The GPUs of an SoC through CUDA. One that cannot be read is a fault and hides no other."""

from node_core.domain.inventory import UNKNOWN_VERSION, ComputeCapability, Driver, Fault, Gpu, Inventory, Platform
from node_core.errors import NvmlError
from node_core.host.discovery.cuda import Cuda
from node_core.host.discovery.platform import tegra_id
from node_core.host.nvml.inventory import optional, parse_cuda_version


def read_tegra(cuda: Cuda) -> Inventory:
    """One look. Raises NvmlError when CUDA itself gives nothing."""
    version = parse_cuda_version(optional(cuda.driver_get_version))
    found = [read_gpu(cuda, index) for index in range(cuda.device_get_count())]
    return Inventory(
        driver=Driver(version=UNKNOWN_VERSION, cuda=version),
        gpus=tuple(one for one in found if isinstance(one, Gpu)),
        faults=tuple(one for one in found if isinstance(one, Fault)),
        why_empty=None if found else "CUDA counts no GPU",
        platform=Platform.TEGRA,
    )


def read_gpu(cuda: Cuda, index: int) -> Gpu | Fault:
    try:
        compute = optional(lambda: cuda.device_compute_capability(index))
        return Gpu(
            index=index,
            uuid=tegra_id(index),
            minor=None,
            model=cuda.device_get_name(index),
            memory_bytes=optional(lambda: cuda.device_total_mem(index)) or None,
            compute=None if compute is None else ComputeCapability(major=compute[0], minor=compute[1]),
            address=None,
        )
    except NvmlError as error:
        return Fault(index=index, uuid=tegra_id(index), reason=str(error))
