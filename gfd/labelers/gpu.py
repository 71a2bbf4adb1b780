"""The GPUs of the node. Where there are several models, the one with most GPUs is described, the first by name of several such."""

from gfd.labelers.api import LabelOptions
from gfd.labelers.resource import GPU, NOT_OFFERED, UNSHARED, prevailing, product_name, resource_labels
from node_core.domain.family import family
from node_core.domain.inventory import ComputeCapability, Gpu, Inventory
from node_core.domain.labels import Labels
from node_core.domain.mig import MIB


def labels(inventory: Inventory, _: LabelOptions) -> Labels:
    model = prevailing(gpu.model for gpu in inventory.gpus)
    if model is None:
        return {}
    return model_labels(model, tuple(gpu for gpu in inventory.gpus if gpu.model == model))


def model_labels(model: str, gpus: tuple[Gpu, ...]) -> dict[str, str]:
    """gpus: all of that model. A GPU in MIG mode cannot be given out whole, so replicas are 0 where all of them are."""
    replicas = NOT_OFFERED if all(gpu.mig_enabled for gpu in gpus) else UNSHARED
    memory = prevailing(gpu.memory_bytes for gpu in gpus)
    return {
        **resource_labels(GPU, product_name(model), len(gpus), replicas=replicas),
        **memory_labels(memory),
        **compute_labels(prevailing(gpu.compute for gpu in gpus)),
    }


def memory_labels(memory_bytes: int | None) -> dict[str, str]:
    """In whole MiB. Nothing for a board that has no memory of its own."""
    return {f"{GPU}.memory": str(memory_bytes // MIB)} if memory_bytes else {}


def compute_labels(compute: ComputeCapability | None) -> dict[str, str]:
    """Nothing where NVML does not say; major 0 is how old libraries did not say."""
    if compute is None or compute.major == 0:
        return {}
    return {
        f"{GPU}.family": family(compute),
        f"{GPU}.compute.major": str(compute.major),
        f"{GPU}.compute.minor": str(compute.minor),
    }
