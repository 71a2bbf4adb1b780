"""How gpu-device-plugin advertises each device of the node, by the rules and the sharing of the config file. PURE."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import msgspec

from gfd.labelers.api import LabelOptions
from gpu_core.domain.inventory import ComputeCapability, Gpu, Inventory, MigDevice
from gpu_core.domain.resources import ResourceName
from gpu_core.domain.selection import select_devices
from gpu_core.domain.sharing import Sharing, is_mps_blocked_by_mig


class ResourceOffer(msgspec.Struct, frozen=True, kw_only=True):
    """How a device is advertised. replicas: 0 if the device is not advertised. suffixes: of the product name."""

    replicas: int
    strategy: str = "none"
    suffixes: tuple[str, ...] = ()


UNSHARED = ResourceOffer(replicas=1)
NOT_OFFERED = ResourceOffer(replicas=0)


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU or MIG device, as the config file selects it; see selection.SelectableDevice."""

    index: str
    uuid: str
    gpu: str
    address: str | None
    model: str
    compute: ComputeCapability | None
    profile: str | None = None
    gpu_instance: int | None = None
    compute_instance: int | None = None


def gpu_candidate(gpu: Gpu) -> Candidate:
    return Candidate(
        index=str(gpu.index),
        uuid=gpu.uuid,
        gpu=gpu.uuid,
        address=gpu.address,
        model=gpu.model,
        compute=gpu.compute,
    )


def mig_candidate(gpu: Gpu, mig: MigDevice) -> Candidate:
    return Candidate(
        index=f"{gpu.index}:{mig.slot}",
        uuid=mig.uuid,
        gpu=gpu.uuid,
        address=gpu.address,
        model=gpu.model,
        compute=gpu.compute,
        profile=mig.profile,
        gpu_instance=mig.gpu_instance,
        compute_instance=mig.compute_instance,
    )


def effective_sharing(inventory: Inventory, options: LabelOptions) -> Sharing | None:
    """Returns the sharing of this node, with the limits of its driver; None if MPS cannot be used because a GPU is in MIG mode."""
    if options.sharing is None or is_mps_blocked_by_mig(inventory, options.sharing):
        return None
    return options.sharing.for_driver(inventory.driver)


def list_offers(
    devices: Iterable[Candidate],
    usual: Callable[[Candidate], ResourceName],
    inventory: Inventory,
    options: LabelOptions,
) -> Mapping[str, ResourceOffer]:
    """Returns UUID -> offer of the devices that the config does not exclude. usual: the resource of a device outside of the pools."""
    groups: dict[ResourceName, list[Candidate]] = {}
    for device in devices:
        pools = options.rules.pools_of(device)
        if options.rules.reservation_reason(device) is None and len(pools) < 2:
            groups.setdefault(pools[0] if pools else usual(device), []).append(device)
    sharing = effective_sharing(inventory, options)
    return {
        device.uuid: _select_offer(sharing, resource, device, group)
        for resource, group in groups.items()
        for device in group
    }


def select_common_offer(offers: Iterable[ResourceOffer]) -> ResourceOffer:
    """Returns the most frequent offer, the first of several; NOT_OFFERED without offers."""
    counted = Counter(offers)
    return max(counted, key=lambda offer: counted[offer], default=NOT_OFFERED)


def _select_offer(
    sharing: Sharing | None, resource: ResourceName, device: Candidate, group: list[Candidate]
) -> ResourceOffer:
    """A renamed resource has no suffix, because its name already differs. group: all devices of the resource, in order."""
    entries = sharing.find_all(resource) if sharing else ()
    shared = next((each for each in entries if device in select_devices(each.devices, group)), None)
    if sharing is None or shared is None:
        return UNSHARED
    replicas = sharing.limit_replicas(shared.replicas, device.compute, [each.uuid for each in group])
    is_plain = shared.is_renamed or replicas == 1
    return ResourceOffer(replicas=replicas, strategy=sharing.strategy.value, suffixes=() if is_plain else ("SHARED",))
