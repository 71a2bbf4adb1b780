"""Lists what a plan changes, one MIG device at a time. PURE."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gpu_core.mig.model import ComputeInstance, GpuInstance, MigGpu, Placement
from gpu_core.mig.plan import GpuPlan
from gpunode.mig.read import Users


class Action(StrEnum):
    MIG_ON = "MIG on"
    MIG_OFF = "MIG off"
    DESTROY = "destroy"
    CREATE = "create"
    RETAIN = "retain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One row of a plan.

    device: the name of the MIG device; empty for the mode, and for a GPU instance without MIG devices. placement: None for the mode.
    uuid: of a present MIG device. users: see Users.
    """

    gpu: MigGpu
    action: Action
    device: str = ""
    placement: Placement | None = None
    uuid: str | None = None
    users: tuple[str, ...] = ()


def list_changes(plans: Sequence[GpuPlan], users: Users) -> tuple[Change, ...]:
    """Returns the rows of all GPUs: for each GPU in the order of execution, and then what stays."""
    return tuple(change for plan in plans for change in _list_changes(plan, users))


def device_names(gpu: MigGpu) -> Mapping[tuple[int, int], str]:
    """Returns the numbers of the GPU instance profile and of the compute instance profile -> the name of the MIG device."""
    return {(profile.number, each.number): each.name for profile in gpu.profiles for each in profile.compute}


def _list_changes(plan: GpuPlan, users: Users) -> Iterator[Change]:
    gpu = plan.gpu
    gone = set(plan.destroy_compute)
    for instance in plan.destroy:
        yield from _rows(gpu, Action.DESTROY, instance, instance.compute, users)
    for instance in gpu.instances:
        lost = [each for each in instance.compute if (instance.id, each) in gone]
        yield from _rows(gpu, Action.DESTROY, instance, lost, users) if lost else ()
    if plan.mode is not None:
        action = Action.MIG_ON if plan.mode else Action.MIG_OFF
        yield Change(gpu=gpu, action=action, users=users.get(gpu.uuid, ()))
    yield from _list_created(plan)
    for instance in gpu.instances:
        stay = [each for each in instance.compute if (instance.id, each) not in gone]
        yield from _rows(gpu, Action.RETAIN, instance, stay, users) if instance not in plan.destroy and stay else ()


def _rows(
    gpu: MigGpu, action: Action, instance: GpuInstance, compute: Sequence[ComputeInstance], users: Users
) -> Iterator[Change]:
    names = device_names(gpu)
    for each in compute:
        yield Change(
            gpu=gpu,
            action=action,
            device=names.get((instance.profile, each.profile), "unknown"),
            placement=instance.placement,
            uuid=each.uuid,
            users=users.get(each.uuid or "", ()),
        )
    if not compute:
        yield Change(gpu=gpu, action=action, placement=instance.placement)


def _list_created(plan: GpuPlan) -> Iterator[Change]:
    names, present = device_names(plan.gpu), {instance.id: instance for instance in plan.gpu.instances}
    rows = [(new.profile, new.placement, number) for new in plan.create for number in new.compute]
    for instance_id, number in plan.create_compute:
        instance = present[instance_id]
        rows.append((instance.profile, instance.placement, number))
    for profile, placement, number in rows:
        yield Change(gpu=plan.gpu, action=Action.CREATE, device=names[profile, number], placement=placement)
