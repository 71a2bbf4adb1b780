"""Determines the devices of a node from its GPUs and their MIG profiles."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from dra_driver.devices import attributes as attrs
from dra_driver.devices.counters import counter_set_of, counters_of
from dra_driver.devices.model import CounterSet, Device, DeviceKind
from dra_driver.devices.names import gpu_device_name, mig_device_name, shared_mig_device_name
from dra_driver.devices.nvlink import nvlink_groups
from gpu_core.domain.inventory import Gpu, Inventory, MigDevice, Platform
from gpu_core.mig.model import GpuInstance, InstanceProfile, MigGpu, Placement
from node_core.domain.pci import PciAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    gpu: Gpu
    mig: MigGpu | None
    common: attrs.Attributes


def devices_of(
    inventory: Inventory,
    mig_gpus: Collection[MigGpu] = (),
    *,
    has_dynamic_mig: bool = False,
    pcie_roots: Mapping[PciAddress, str] | None = None,
) -> tuple[Device, ...]:
    """Returns the devices of a node, in the order of the GPUs.

    Without dynamic MIG, a GPU in MIG mode is divided into its existing MIG devices, and any other GPU is one device. With dynamic MIG, a
    GPU that supports MIG is offered as a whole and as each possible MIG device. A GPU that needs a reset to change its MIG mode is offered
    only in its present mode. A GPU of a Tegra platform is not offered. pcie_roots: PCI address -> PCIe root complex.
    """
    if inventory.platform is Platform.TEGRA:
        return ()
    by_uuid = {each.uuid: each for each in mig_gpus}
    groups = nvlink_groups(inventory.gpus)
    sources = (
        _Source(
            gpu=gpu,
            mig=by_uuid.get(gpu.uuid),
            common=attrs.common_attributes(gpu, inventory.driver, pcie_roots or {}, groups.get(gpu.uuid)),
        )
        for gpu in inventory.gpus
    )
    list_devices = _list_dynamic if has_dynamic_mig else _list_static
    return tuple(device for source in sources for device in list_devices(source))


def _list_static(source: _Source) -> Iterator[Device]:
    if source.gpu.mig_enabled:
        yield from _list_present(source)
    else:
        yield _full_gpu(source, None)


def _list_dynamic(source: _Source) -> Iterator[Device]:
    gpu, mig = source.gpu, source.mig
    if mig is None or not mig.profiles:
        yield from _list_static(source)
        return
    counter_set = counter_set_of(gpu, mig)
    if not (mig.needs_reset and mig.is_enabled):
        yield _full_gpu(source, counter_set)
    if mig.is_enabled or not mig.needs_reset:
        for profile in mig.profiles:
            yield from (_abstract(source, profile, place, counter_set) for place in profile.placements)


def _full_gpu(source: _Source, counter_set: CounterSet | None) -> Device:
    return Device(
        name=gpu_device_name(source.gpu),
        kind=DeviceKind.GPU,
        gpu=source.gpu,
        attributes=attrs.gpu_attributes(source.gpu, source.common),
        capacity=attrs.gpu_capacity(source.gpu, source.mig),
        counter_set=counter_set,
        counters=counter_set.counters if counter_set else {},
    )


def _abstract(source: _Source, profile: InstanceProfile, place: Placement, counter_set: CounterSet) -> Device:
    return Device(
        name=mig_device_name(source.gpu, profile, place.start),
        kind=DeviceKind.MIG,
        gpu=source.gpu,
        attributes=attrs.mig_attributes(source.gpu, profile.name, source.common),
        capacity=attrs.profile_capacity(profile),
        profile=profile,
        placement=place,
        counter_set=counter_set,
        counters=counters_of(profile, place),
    )


def _list_present(source: _Source) -> Iterator[Device]:
    """Yields the MIG devices that exist. A device whose profile or place is unknown has no name, and is not offered."""
    if source.mig is None:
        return
    instances = {each.id: each for each in source.mig.instances}
    for device in source.gpu.mig_devices:
        instance = instances.get(device.gpu_instance)
        profile = source.mig.profile(instance.profile) if instance else None
        if instance and profile and device.profile:
            yield _present(source, device, instance, profile)


def _present(source: _Source, device: MigDevice, instance: GpuInstance, profile: InstanceProfile) -> Device:
    gpu, start, name = source.gpu, instance.placement.start, device.profile or profile.name
    return Device(
        name=mig_device_name(gpu, profile, start)
        if name == profile.name
        else shared_mig_device_name(gpu, profile, start, name, device.compute_instance),
        kind=DeviceKind.MIG,
        gpu=gpu,
        attributes=attrs.mig_attributes(gpu, name, source.common, device),
        capacity=attrs.mig_capacity(device, instance.placement.size),
        mig=device,
    )
