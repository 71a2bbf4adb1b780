"""Each model of the node by a label of its own, beyond what GPU Feature Discovery says: `nvidia.com/gpu.product.Tesla-T4.count`.

`nvidia.com/gpu.product` can name one model only. These labels are there for one model as for several, so that a selector need not know
which node is which. They count boards: neither MIG nor sharing changes them.
"""

import hashlib
import itertools

from gfd.labelers.api import Declared, LabelOptions
from gfd.labelers.gpu import family_labels, memory_labels
from gfd.labelers.resource import GPU, prevailing
from node_core.domain.inventory import Gpu, Inventory
from node_core.domain.labels import MAX_NAME, Labels, sanitize

MAX_MODEL = MAX_NAME - len("gpu.product.") - len(".memory")
"""44 characters are left for the model in the longest key."""
HASH = 8

MODEL = f"{GPU}.product.<model>"
DECLARED = (
    Declared(
        key=f"{MODEL}.count",
        value="GPUs of that model, in MIG mode or not",
        source="nvmlDeviceGetName",
        presence="for each model",
    ),
    Declared(
        key=f"{MODEL}.memory",
        value="MiB of one GPU of that model",
        source="nvmlDeviceGetMemoryInfo",
        presence="for each model with memory of its own",
    ),
    Declared(
        key=f"{MODEL}.family",
        value="its architecture in lower case: `hopper`",
        source="nvmlDeviceGetCudaComputeCapability",
        presence="for each model of which NVML says it",
    ),
)


def labels(inventory: Inventory, _: LabelOptions) -> Labels:
    """GPUs are of one model where their keys are the same; a name without a single letter or digit makes no key."""
    named = sorted(((model_key(gpu.model), gpu) for gpu in inventory.gpus), key=lambda pair: pair[0])
    found: dict[str, str] = {}
    for key, pairs in itertools.groupby(named, key=lambda pair: pair[0]):
        if key:
            found |= _labels_of(f"{GPU}.product.{key}", tuple(gpu for _, gpu in pairs))
    return found


def model_key(model: str) -> str:
    """The model as it stands in keys: sanitised; where that is too long, its beginning and a digest of the whole name.

    It follows from the name alone, so it is the same on every node and next to every other model. Empty for a name that nothing is left of.
    """
    name = sanitize(model)
    if len(name) <= MAX_MODEL:
        return name
    digest = hashlib.sha256(model.encode(errors="replace")).hexdigest()[:HASH]
    return f"{name[: MAX_MODEL - HASH - 1].rstrip('-_.')}-{digest}"


def _labels_of(prefix: str, gpus: tuple[Gpu, ...]) -> dict[str, str]:
    return {
        f"{prefix}.count": str(len(gpus)),
        **memory_labels(prefix, prevailing(gpu.memory_bytes for gpu in gpus)),
        **family_labels(prefix, prevailing(gpu.compute for gpu in gpus)),
    }
