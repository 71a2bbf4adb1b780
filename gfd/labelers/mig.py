"""Labels of MIG devices, by MIG strategy.

`single`: all GPUs are in MIG mode and have MIG devices of one profile, and the labels of GPUs describe these devices. If only some GPUs
fulfil this condition, the node offers nothing, and its product is `<model>-MIG-INVALID`. `mixed`: each profile is a resource.
Source: NVIDIA, MIG support in Kubernetes.
"""

from collections.abc import Iterator
from itertools import starmap

from gfd.labelers.advertised import ResourceOffer, list_offers, mig_candidate, select_common_offer
from gfd.labelers.api import NVIDIA, LabelOptions
from gfd.labelers.resource import GPU, INVALID_OFFER, declare_resource, most_common, resource_labels
from gpu_core.domain.inventory import Gpu, Inventory, MigAttributes, MigDevice
from gpu_core.domain.mig import label_form
from gpu_core.domain.resources import GPU as RESOURCE_GPU
from gpu_core.domain.resources import ResourceName, mig_resource
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import Labels

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
_SINGLE = "with strategy `single`, if all GPUs have MIG devices of one profile"
_MIXED = "with strategy `mixed`, for each profile"
DECLARED = (
    LabelDeclaration(
        key=f"{NVIDIA}/mig.strategy",
        value="`single` or `mixed`",
        source="`--mig-strategy`",
        presence="with a GPU, except for strategy `none`",
    ),
    *(
        LabelDeclaration(key=f"{GPU}.{name}", value=value, source="nvmlDeviceGetAttributes", presence=_SINGLE)
        for name, value in ATTRIBUTES.items()
    ),
    *declare_resource(PROFILE, _MIXED, counted_by="nvmlDeviceGetMigDeviceHandleByIndex"),
    *(
        LabelDeclaration(key=f"{PROFILE}.{name}", value=value, source="nvmlDeviceGetAttributes", presence=_MIXED)
        for name, value in {"memory": "MiB of one MIG device, if the GPU has its own memory", **ATTRIBUTES}.items()
    ),
)

GpuDevice = tuple[Gpu, MigDevice]
"""A GPU, and a MIG device of this GPU."""


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
    """Returns labels that replace the labels of GPUs; no labels if no GPU is in MIG mode."""
    enabled = tuple(gpu for gpu in inventory.gpus if gpu.mig_enabled)
    model = most_common(gpu.model for gpu in enabled)
    if model is None:
        return {}
    profiles = {device.profile for gpu in enabled for device in gpu.mig_devices}
    profile = profiles.pop() if len(profiles) == 1 else None
    # A GPU is empty only if all of its MIG devices could be read.
    empty = any(not gpu.mig_devices and not gpu.mig_faults for gpu in enabled)
    if empty or len(enabled) < len(inventory.gpus) or profile is None:
        return _invalid(model)
    return _advertised_labels(GPU, RESOURCE_GPU, profile, tuple(_devices(enabled)), inventory, options)


def mixed_labels(inventory: Inventory, options: LabelOptions) -> dict[str, str]:
    """Returns the labels of each profile. Devices of a profile without a name are not advertised and have no labels."""
    devices = tuple(_devices(inventory.gpus))
    result: dict[str, str] = {}
    for profile in sorted({device.profile for _, device in devices if device.profile}):
        of_profile = tuple((gpu, device) for gpu, device in devices if device.profile == profile)
        resource = mig_resource(profile)
        result |= _advertised_labels(resource, resource, profile, of_profile, inventory, options)
    return result


def _advertised_labels(
    prefix: str,
    usual: ResourceName,
    profile: str,
    devices: tuple[GpuDevice, ...],
    inventory: Inventory,
    options: LabelOptions,
) -> dict[str, str]:
    """Describes the devices that the config does not exclude, or all devices if it excludes all. usual: their resource by default."""
    resource = options.rules.names.name_for_mig(profile) or usual
    offers = list_offers(starmap(mig_candidate, devices), lambda _: resource, inventory, options)
    described = tuple((gpu, device) for gpu, device in devices if device.uuid in offers) or devices
    return _profile_labels(prefix, profile, described, select_common_offer(offers.values()))


def _devices(gpus: tuple[Gpu, ...]) -> Iterator[GpuDevice]:
    return ((gpu, device) for gpu in gpus if gpu.mig_enabled for device in gpu.mig_devices)


def _invalid(model: str) -> dict[str, str]:
    return {**resource_labels(GPU, model, "MIG", "INVALID", count=0, offer=INVALID_OFFER), f"{GPU}.memory": "0"}


def _profile_labels(
    resource: str, profile: str, devices: tuple[GpuDevice, ...], offered: ResourceOffer
) -> dict[str, str]:
    """devices: all MIG devices of the profile. The labels describe the devices on the most common model."""
    model = most_common(gpu.model for gpu, _ in devices) or ""
    attributes = next(device.attributes for gpu, device in devices if gpu.model == model)
    suffixes = ("MIG", label_form(profile))
    common = resource_labels(resource, model, *suffixes, count=len(devices), offer=offered)
    return common | _attribute_labels(resource, attributes)


def _attribute_labels(resource: str, attributes: MigAttributes) -> dict[str, str]:
    """Returns no memory for a MIG device of a GPU without its own memory, as for the GPU."""
    values = {
        **({"memory": attributes.memory_mib} if attributes.memory_mib else {}),
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
