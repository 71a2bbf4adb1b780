"""Labels of the GPUs. On a node with several models, the labels describe the most common model, or the first by name."""

from gfd.labelers.advertised import gpu_candidate, list_offers, select_common_offer
from gfd.labelers.api import LabelOptions
from gfd.labelers.resource import GPU, declare_resource, most_common, resource_labels
from gpu_core.domain.family import family
from gpu_core.domain.inventory import ComputeCapability, Inventory
from gpu_core.domain.mig import MIB
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import Labels

_COMPUTE = {"source": "nvmlDeviceGetCudaComputeCapability", "presence": "if NVML reports it"}
DECLARED = (
    *declare_resource(GPU, "with a GPU", counted_by="nvmlDeviceGetCount"),
    LabelDeclaration(
        key=f"{GPU}.memory",
        value="MiB of one GPU, or of one MIG device with strategy `single`; 0 if the MIG layout is invalid",
        source="nvmlDeviceGetMemoryInfo, nvmlDeviceGetAttributes",
        presence="on boards with their own memory",
    ),
    LabelDeclaration(key=f"{GPU}.family", value="the architecture in lower case: `hopper`", **_COMPUTE),
    LabelDeclaration(key=f"{GPU}.compute.major", value="part of the compute capability", **_COMPUTE),
    LabelDeclaration(key=f"{GPU}.compute.minor", value="part of the compute capability", **_COMPUTE),
)


def labels(inventory: Inventory, options: LabelOptions) -> Labels:
    """GPUs that the config excludes have no effect, unless it excludes all GPUs. A GPU in MIG mode is not advertised as a GPU."""
    usable = [gpu for gpu in inventory.gpus if options.rules.reservation_reason(gpu_candidate(gpu)) is None]
    model = most_common(gpu.model for gpu in usable or inventory.gpus)
    if model is None:
        return {}
    gpus = tuple(gpu for gpu in usable or inventory.gpus if gpu.model == model)
    whole = [gpu_candidate(gpu) for gpu in inventory.gpus if not gpu.mig_enabled]
    offers = list_offers(whole, lambda device: options.rules.names.name_for_gpu(device.model), inventory, options)
    offer = select_common_offer(offers[gpu.uuid] for gpu in gpus if gpu.uuid in offers)
    return {
        **resource_labels(GPU, model, count=len(gpus), offer=offer),
        **memory_labels(GPU, most_common(gpu.memory_bytes for gpu in gpus)),
        **compute_labels(most_common(gpu.compute for gpu in gpus)),
    }


def memory_labels(prefix: str, memory_bytes: int | None) -> dict[str, str]:
    """Returns the memory in MiB; no label for a board without its own memory."""
    return {f"{prefix}.memory": str(memory_bytes // MIB)} if memory_bytes else {}


def compute_labels(compute: ComputeCapability | None) -> dict[str, str]:
    """Returns no label if NVML does not report the compute capability."""
    if compute is None or compute.major == 0:
        return {}
    return {
        **family_labels(GPU, compute),
        f"{GPU}.compute.major": str(compute.major),
        f"{GPU}.compute.minor": str(compute.minor),
    }


def family_labels(prefix: str, compute: ComputeCapability | None) -> dict[str, str]:
    """Returns no label if NVML does not report the compute capability. Old libraries report major version 0 instead."""
    return {f"{prefix}.family": family(compute)} if compute and compute.major else {}
