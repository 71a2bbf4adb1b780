"""The GPUs of the node. Where there are several models, the one with most GPUs is described, the first by name of several such."""

from gfd.labelers.api import Declared, LabelOptions
from gfd.labelers.resource import (
    GPU,
    NOT_OFFERED,
    declare_resource,
    effective_sharing,
    offer,
    prevailing,
    resource_labels,
)
from node_core.domain.family import family
from node_core.domain.inventory import ComputeCapability, Gpu, Inventory
from node_core.domain.labels import Labels
from node_core.domain.mig import MIB
from node_core.domain.resources import ResourceName
from node_core.domain.sharing import Sharing

_COMPUTE = {"source": "nvmlDeviceGetCudaComputeCapability", "presence": "where NVML says it"}
DECLARED = (
    *declare_resource(GPU, "with a GPU"),
    Declared(
        key=f"{GPU}.memory",
        value="MiB of one GPU, or of one MIG device with strategy `single`; 0 where the MIG layout is invalid",
        source="nvmlDeviceGetMemoryInfo, nvmlDeviceGetAttributes",
        presence="on boards with memory of their own",
    ),
    Declared(key=f"{GPU}.family", value="the architecture in lower case: `hopper`", **_COMPUTE),
    Declared(key=f"{GPU}.compute.major", value="of the compute capability", **_COMPUTE),
    Declared(key=f"{GPU}.compute.minor", value="of the compute capability", **_COMPUTE),
)


def labels(inventory: Inventory, options: LabelOptions) -> Labels:
    model = prevailing(gpu.model for gpu in inventory.gpus)
    if model is None:
        return {}
    gpus = tuple(gpu for gpu in inventory.gpus if gpu.model == model)
    return model_labels(model, gpus, effective_sharing(inventory, options), options.names.of_gpu(model))


def model_labels(model: str, gpus: tuple[Gpu, ...], sharing: Sharing | None, resource: ResourceName) -> dict[str, str]:
    """gpus: all of that model. resource: by which they are advertised, before sharing renames it.

    A GPU in MIG mode cannot be given out whole, so replicas are 0 where all of them are.
    """
    compute = prevailing(gpu.compute for gpu in gpus)
    offered = NOT_OFFERED if all(gpu.mig_enabled for gpu in gpus) else offer(sharing, resource, compute)
    return {
        **resource_labels(GPU, model, count=len(gpus), offer=offered),
        **memory_labels(GPU, prevailing(gpu.memory_bytes for gpu in gpus)),
        **compute_labels(compute),
    }


def memory_labels(prefix: str, memory_bytes: int | None) -> dict[str, str]:
    """In whole MiB. Nothing for a board that has no memory of its own."""
    return {f"{prefix}.memory": str(memory_bytes // MIB)} if memory_bytes else {}


def compute_labels(compute: ComputeCapability | None) -> dict[str, str]:
    """Nothing where NVML does not say."""
    if compute is None or compute.major == 0:
        return {}
    return {
        **family_labels(GPU, compute),
        f"{GPU}.compute.major": str(compute.major),
        f"{GPU}.compute.minor": str(compute.minor),
    }


def family_labels(prefix: str, compute: ComputeCapability | None) -> dict[str, str]:
    """Nothing where NVML does not say; major 0 is how old libraries did not say."""
    return {f"{prefix}.family": family(compute)} if compute and compute.major else {}
