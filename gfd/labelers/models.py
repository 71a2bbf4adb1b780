"""Labels for each model of the node, which GPU Feature Discovery does not have: `nvidia.com/gpu.product.Tesla-T4.count`.

`nvidia.com/gpu.product` can contain only one model. Nodes with one model have these labels, too, so a selector works on all nodes. The
labels count boards: MIG and sharing do not change them.
"""

import hashlib
import itertools

from gfd.labelers.api import LabelOptions
from gfd.labelers.gpu import family_labels, memory_labels
from gfd.labelers.resource import GPU, most_common
from gpu_core.domain.inventory import Gpu, Inventory
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import MAX_NAME, Labels, sanitize

MAX_MODEL = MAX_NAME - len("gpu.product.") - len(".memory")
"""Maximum characters of the model, so that the longest key is valid: 44."""
HASH = 8

MODEL = f"{GPU}.product.<model>"
DECLARED = (
    LabelDeclaration(
        key=f"{MODEL}.count",
        value="GPUs of that model, in MIG mode or not",
        source="nvmlDeviceGetName",
        presence="for each model",
    ),
    LabelDeclaration(
        key=f"{MODEL}.memory",
        value="MiB of one GPU of that model",
        source="nvmlDeviceGetMemoryInfo",
        presence="for each model with its own memory",
    ),
    LabelDeclaration(
        key=f"{MODEL}.family",
        value="the architecture in lower case: `hopper`",
        source="nvmlDeviceGetCudaComputeCapability",
        presence="for each model, if NVML reports it",
    ),
)


def labels(inventory: Inventory, _: LabelOptions) -> Labels:
    """GPUs with the same key have the same model. A name without letters and digits has no key and no labels."""
    named = sorted(((model_key(gpu.model), gpu) for gpu in inventory.gpus), key=lambda pair: pair[0])
    result: dict[str, str] = {}
    for key, pairs in itertools.groupby(named, key=lambda pair: pair[0]):
        if key:
            result |= _labels_of(f"{GPU}.product.{key}", tuple(gpu for _, gpu in pairs))
    return result


def model_key(model: str) -> str:
    """Returns the sanitised model for a key. A long model is cut and has a digest of the whole name at the end.

    The key depends only on the name, so it is the same on every node. The key of a name without letters and digits is empty.
    """
    name = sanitize(model)
    if len(name) <= MAX_MODEL:
        return name
    digest = hashlib.sha256(model.encode(errors="replace")).hexdigest()[:HASH]
    return f"{name[: MAX_MODEL - HASH - 1].rstrip('-_.')}-{digest}"


def _labels_of(prefix: str, gpus: tuple[Gpu, ...]) -> dict[str, str]:
    return {
        f"{prefix}.count": str(len(gpus)),
        **memory_labels(prefix, most_common(gpu.memory_bytes for gpu in gpus)),
        **family_labels(prefix, most_common(gpu.compute for gpu in gpus)),
    }
