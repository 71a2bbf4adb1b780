"""MIG devices, as the MIG strategy wants to see them.

`single`: every GPU of the node is cut into devices of one profile, and they stand for GPUs. A node that is anything between that and
no MIG at all is unsound and offers nothing; it says so with the product `<model>-MIG-INVALID`. `mixed`: each profile is a resource.
Source: NVIDIA, MIG support in Kubernetes.
"""

from collections.abc import Iterator

from gfd.labelers.api import NVIDIA, Declared, LabelOptions
from gfd.labelers.resource import (
    GPU,
    INVALID,
    Offer,
    declare_resource,
    effective_sharing,
    offer,
    prevailing,
    resource_labels,
)
from node_core.domain.inventory import Gpu, Inventory, MigAttributes, MigDevice
from node_core.domain.labels import Labels
from node_core.domain.mig import label_form

ATTRIBUTES = {
    "multiprocessors": "multiprocessors of one MIG device",
    "slices.gi": "slices of its GPU instance",
    "slices.ci": "slices of its compute instance",
    "engines.copy": "copy engines, shared by the GPU instance",
    "engines.decoder": "video decoders, shared by the GPU instance",
    "engines.encoder": "video encoders, shared by the GPU instance",
    "engines.jpeg": "JPEG decoders, shared by the GPU instance",
    "engines.ofa": "optical flow accelerators, shared by the GPU instance",
}
PROFILE = f"{NVIDIA}/mig-<profile>"
_SINGLE = "with strategy `single`, all GPUs cut into one profile"
_MIXED = "with strategy `mixed`, for each profile"
DECLARED = (
    Declared(
        key=f"{NVIDIA}/mig.strategy",
        value="`single` or `mixed`",
        source="`--mig-strategy`",
        presence="with a GPU, but for strategy `none`",
    ),
    *(
        Declared(key=f"{GPU}.{name}", value=value, source="nvmlDeviceGetAttributes", presence=_SINGLE)
        for name, value in ATTRIBUTES.items()
    ),
    *declare_resource(PROFILE, _MIXED),
    *(
        Declared(key=f"{PROFILE}.{name}", value=value, source="nvmlDeviceGetAttributes", presence=_MIXED)
        for name, value in {"memory": "MiB of one MIG device", **ATTRIBUTES}.items()
    ),
)

Placed = tuple[str, MigDevice]
"""The model of the GPU, and a MIG device on it."""


def labels(inventory: Inventory, options: LabelOptions) -> Labels:
    strategy = {f"{NVIDIA}/mig.strategy": options.mig_strategy}
    match options.mig_strategy:
        case "none":
            return {}
        case "single":
            return strategy | single_labels(inventory, options)
        case "mixed":
            return strategy | mixed_labels(inventory, options)


def single_labels(inventory: Inventory, options: LabelOptions) -> dict[str, str]:
    """They replace those of whole GPUs; none where no GPU is in MIG mode."""
    enabled = tuple(gpu for gpu in inventory.gpus if gpu.mig_enabled)
    model = prevailing(gpu.model for gpu in enabled)
    if model is None:
        return {}
    profiles = {device.profile for gpu in enabled for device in gpu.mig_devices}
    profile = profiles.pop() if len(profiles) == 1 else None
    # A device that could not be read is no sign of an empty GPU.
    empty = any(not gpu.mig_devices and not gpu.mig_faults for gpu in enabled)
    if empty or len(enabled) < len(inventory.gpus) or profile is None:
        return _invalid(model)
    offered = offer(effective_sharing(inventory, options), options.names.of_mig(profile) or GPU)
    return _profile_labels(GPU, profile, tuple(_devices(enabled)), offered)


def mixed_labels(inventory: Inventory, options: LabelOptions) -> dict[str, str]:
    """Those of each profile. A device whose profile has no name can be no resource and is left out."""
    sharing = effective_sharing(inventory, options)
    devices = tuple(_devices(inventory.gpus))
    found: dict[str, str] = {}
    for profile in sorted({device.profile for _, device in devices if device.profile}):
        of_profile = tuple((model, device) for model, device in devices if device.profile == profile)
        usual = f"{NVIDIA}/mig-{label_form(profile)}"
        offered = offer(sharing, options.names.of_mig(profile) or usual)
        found |= _profile_labels(usual, profile, of_profile, offered)
    return found


def _devices(gpus: tuple[Gpu, ...]) -> Iterator[Placed]:
    return ((gpu.model, device) for gpu in gpus if gpu.mig_enabled for device in gpu.mig_devices)


def _invalid(model: str) -> dict[str, str]:
    return {
        **resource_labels(GPU, model, "MIG", "INVALID", count=0, offer=INVALID),
        f"{GPU}.memory": "0",
    }


def _profile_labels(resource: str, profile: str, devices: tuple[Placed, ...], offered: Offer) -> dict[str, str]:
    """devices: all of that profile; they are described by those of the model that has most of them."""
    model = prevailing(model for model, _ in devices) or ""
    attributes = next(device.attributes for name, device in devices if name == model)
    suffixes = ("MIG", label_form(profile))
    common = resource_labels(resource, model, *suffixes, count=len(devices), offer=offered)
    return common | _attribute_labels(resource, attributes)


def _attribute_labels(resource: str, attributes: MigAttributes) -> dict[str, str]:
    values = {
        "memory": attributes.memory_mib,
        "multiprocessors": attributes.multiprocessors,
        "slices.gi": attributes.gpu_instance_slices,
        "slices.ci": attributes.compute_instance_slices,
        "engines.copy": attributes.copy_engines,
        "engines.decoder": attributes.decoders,
        "engines.encoder": attributes.encoders,
        "engines.jpeg": attributes.jpeg_engines,
        "engines.ofa": attributes.ofa_engines,
    }
    return {f"{resource}.{name}": str(value) for name, value in values.items()}
