"""Plans the smallest change from the present layout of a GPU to a requested one. PURE.

Instances that both layouts contain stay, with the UUIDs of their MIG devices and with the pods that use them.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

import msgspec

from gpu_core.domain.inventory import MigUuid
from gpu_core.mig.choices import LayoutItem, divide_compute
from gpu_core.mig.model import ComputeInstance, MigGpu
from gpu_core.mig.plan import GpuPlan, NewInstance
from gpu_core.mig.search import search_layout
from node_core.errors import MigError
from node_core.schema import similar


class DesiredGpu(msgspec.Struct, frozen=True, kw_only=True):
    """The requested layout of one GPU. devices: names of profiles with `+` -> count: `{"1g.10gb+me": 1, "1c.3g.40gb": 2}`.

    Without devices, is_enabled means MIG mode without MIG devices.
    """

    is_enabled: bool
    devices: Mapping[str, int] = msgspec.field(default_factory=dict)


def plan_gpu(gpu: MigGpu, desired: DesiredGpu, busy: Collection[MigUuid] = ()) -> GpuPlan:
    """Returns the change with the fewest destroyed busy MIG devices.

    Among equal ones: the fewest destroyed MIG devices, then the fewest created GPU instances, then the lowest memory slices.
    Raises MigError if the GPU does not have a profile, or if the devices do not fit; the error names devices that fit.
    """
    mode = None if gpu.is_enabled == gpu.is_pending == desired.is_enabled else desired.is_enabled
    devices = {name: count for name, count in desired.devices.items() if count > 0}
    if not desired.is_enabled:
        return GpuPlan(gpu=gpu, mode=mode, destroy=gpu.instances)
    if devices and not gpu.profiles and not gpu.is_enabled:
        return GpuPlan(gpu=gpu, mode=mode, is_partial=True)
    _check_names(gpu, devices)
    layout = search_layout(gpu, devices, busy)
    if layout.missing:
        raise _does_not_fit(gpu, devices, layout.missing)
    return _plan_items(gpu, mode, layout.items, busy)


def render_devices(devices: Mapping[str, int]) -> str:
    """Renders `2x 1g.10gb, 1x 3g.40gb`, or `none`."""
    return ", ".join(f"{count}x {name}" for name, count in devices.items()) or "none"


def _plan_items(gpu: MigGpu, mode: bool | None, items: tuple[LayoutItem, ...], busy: Collection[MigUuid]) -> GpuPlan:
    retained = {item.present.id: item for item in items if item.present}
    destroy_compute: list[tuple[int, ComputeInstance]] = []
    create_compute: list[tuple[int, int]] = []
    for instance in gpu.instances:
        if item := retained.get(instance.id):
            present, destroyed = divide_compute(item.profile, instance, item.devices, busy)
            destroy_compute += [(instance.id, each) for each in destroyed]
            create_compute += [(instance.id, number) for number in _missing_compute(item, present)]
    return GpuPlan(
        gpu=gpu,
        mode=mode,
        destroy=tuple(instance for instance in gpu.instances if instance.id not in retained),
        destroy_compute=tuple(destroy_compute),
        create=tuple(_new_instance(item) for item in items if item.present is None),
        create_compute=tuple(create_compute),
    )


def _new_instance(item: LayoutItem) -> NewInstance:
    compute = tuple(_missing_compute(item, ()))
    return NewInstance(profile=item.profile.number, placement=item.placement, compute=compute)


def _missing_compute(item: LayoutItem, present: Collection[ComputeInstance]) -> Iterator[int]:
    """Yields the compute instances to create, the largest first, so that no small one divides the space of a large one."""
    names = {compute.number: compute.name for compute in item.profile.compute}
    left = Counter(item.devices) - Counter(names[each.profile] for each in present)
    for compute in sorted(item.profile.compute, key=lambda each: (-each.slices, each.number)):
        yield from [compute.number] * left.pop(compute.name, 0)


def _check_names(gpu: MigGpu, devices: Mapping[str, int]) -> None:
    names = profile_names(gpu)
    for name in devices:
        if name not in names:
            near = similar(name, names)
            hint = f"Did you mean {near}? " if near else ""
            raise MigError(
                f"{gpu.name}: {gpu.model} has no MIG profile {name}",
                hint=f"{hint}The profiles are: {', '.join(names) or 'none'}",
            )


def profile_names(gpu: MigGpu) -> tuple[str, ...]:
    """Returns the names of all MIG devices that the GPU supports, sorted by GPU instance profile, whole GPU instances first."""
    by_size = [sorted(profile.compute, key=lambda each: -each.slices) for profile in gpu.profiles]
    return tuple(dict.fromkeys(compute.name for profile in by_size for compute in profile))


def _does_not_fit(gpu: MigGpu, devices: Mapping[str, int], missing: Mapping[str, int]) -> MigError:
    fitting = {name: count - missing.get(name, 0) for name, count in devices.items()}
    fitting = {name: count for name, count in fitting.items() if count}
    return MigError(
        f"{gpu.name}: {render_devices(devices)} do not fit on {gpu.model}",
        hint=f"These would fit: {render_devices(fitting)}",
    )
