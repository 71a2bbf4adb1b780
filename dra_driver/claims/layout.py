"""The MIG layouts that claims need, and the changes of GPUs to them. PURE.

With dynamic MIG, an instance that no claim holds belongs to nobody: it is what an interrupted change left. Each change removes such
instances from its GPU, so the layout of a GPU never prevents a claim that the scheduler has found possible.
"""

from collections.abc import Iterable, Iterator

from dra_driver.claims.holding import Claims, Holding
from gpu_core.domain.inventory import GpuUuid, MigUuid
from gpu_core.mig.model import GpuInstance, MigGpu
from gpu_core.mig.plan import GpuPlan, Layout, NewInstance, plan_restore
from node_core.errors import ClaimError
from node_core.values import replace


def plan_layouts(uid: str, claims: Claims, mig_gpus: Iterable[MigGpu]) -> tuple[GpuPlan, ...]:
    """Returns the changes that make the devices of one claim. Other claims keep what they have.

    uid: of a claim of `claims`. Raises ClaimError if a GPU is missing, or has to be in another MIG mode than another claim needs.
    """
    by_uuid = {gpu.uuid: gpu for gpu in mig_gpus}
    plans = []
    for uuid in dict.fromkeys(each.gpu for each in claims[uid].holdings if each.is_dynamic and not each.is_admin):
        gpu = by_uuid.get(GpuUuid(uuid))
        if gpu is None:
            raise ClaimError(f"{uuid} cannot be read", hint="check the GPU with nvidia-smi")
        wanted = [*_instances(gpu, claims[uid].holdings), *_present(gpu, claims)]
        is_enabled = not any(each.gpu == uuid and not each.slices for each in claims[uid].holdings if not each.is_admin)
        plans.append(_change(gpu, is_enabled=is_enabled, instances=wanted))
    return tuple(plan for plan in plans if not plan.is_empty)


def plan_release(gpus: Iterable[str], claims: Claims, mig_gpus: Iterable[MigGpu]) -> tuple[GpuPlan, ...]:
    """Returns the changes that destroy the instances of these GPUs that no claim holds. The MIG mode stays."""
    uuids = {*gpus}
    plans = [
        _change(gpu, is_enabled=gpu.is_enabled, instances=_present(gpu, claims))
        for gpu in mig_gpus
        if gpu.uuid in uuids and gpu.instances
    ]
    return tuple(plan for plan in plans if not plan.is_empty)


def find_mig_uuid(holding: Holding, mig_gpus: Iterable[MigGpu]) -> MigUuid:
    """Returns the MIG device of an instance that the driver has created. Raises ClaimError if it does not exist."""
    for gpu in mig_gpus:
        if gpu.uuid == holding.gpu and (instance := _find(gpu, holding)) is not None:
            for compute in instance.compute:
                if compute.uuid is not None:
                    return compute.uuid
    raise ClaimError(f"the MIG device {holding.device} does not exist", hint="check `nvidia-smi -L`")


def _change(gpu: MigGpu, *, is_enabled: bool, instances: Iterable[NewInstance]) -> GpuPlan:
    return plan_restore(gpu, Layout(is_enabled=is_enabled, instances=tuple(sorted({*instances}))))


def _instances(gpu: MigGpu, holdings: Iterable[Holding]) -> Iterator[NewInstance]:
    for each in holdings:
        if each.gpu == gpu.uuid and each.profile is not None and not each.is_admin:
            yield _new(gpu, each, each.profile)


def _present(gpu: MigGpu, claims: Claims) -> Iterator[NewInstance]:
    """The instances that claims hold and that exist: a claim makes its missing instances itself."""
    held = [each for claim in claims.values() for each in claim.holdings if each.gpu == gpu.uuid and not each.is_admin]
    for instance in gpu.instances:
        for each in held:
            if each.slices and each.placement == instance.placement and each.profile in (None, instance.profile):
                whole = _new(gpu, each, instance.profile)
                compute = whole.compute if each.mig is None else tuple(one.profile for one in instance.compute)
                yield replace(whole, compute=compute)


def _new(gpu: MigGpu, holding: Holding, number: int) -> NewInstance:
    """One compute instance takes the whole GPU instance."""
    profile = gpu.profile(number)
    compute = (profile.compute[-1].number,) if profile is not None and profile.compute else ()
    return NewInstance(profile=number, placement=holding.placement, compute=compute)


def _find(gpu: MigGpu, holding: Holding) -> GpuInstance | None:
    wanted = holding.profile, holding.placement
    return next((each for each in gpu.instances if (each.profile, each.placement) == wanted), None)
