"""Draws layouts of GPUs and requests for other layouts."""

from collections import Counter

from hypothesis import assume
from hypothesis import strategies as st

from gpu_core.domain.inventory import MigUuid
from gpu_core.mig.model import ComputeInstance, GpuInstance, InstanceProfile, MigGpu, Placement
from tests.gpu_core.mig.boards import PROFILES, mig_gpu
from tests.gpu_core.mig.brute_force import is_possible
from tests.gpu_core.mig.plans import device_counts

MODELS = st.sampled_from(sorted(PROFILES))


@st.composite
def gpus(draw: st.DrawFn, most: int = 7) -> MigGpu:
    """A GPU in MIG mode with any layout of at most `most` GPU instances."""
    gpu = mig_gpu(draw(MODELS))
    items: list[tuple[InstanceProfile, Placement]] = []
    for _ in range(draw(st.integers(0, most))):
        profile = draw(st.sampled_from(gpu.profiles))
        free = [place for place in profile.placements if is_possible(gpu, [*items, (profile, place)])]
        if free:
            items.append((profile, draw(st.sampled_from(free))))
    instances = []
    for number, (profile, place) in enumerate(items):
        left = profile.slices
        compute: list[ComputeInstance] = []
        for index, part in enumerate(draw(st.lists(st.sampled_from(profile.compute), max_size=3))):
            if part.slices <= left and sum(each.profile == part.number for each in compute) < part.max_count:
                left -= part.slices
                uuid = MigUuid(f"MIG-{number}-{index}")
                compute.append(ComputeInstance(id=index, profile=part.number, uuid=uuid))
        instances.append(GpuInstance(id=number, profile=profile.number, placement=place, compute=tuple(compute)))
    return mig_gpu(gpu.model, *instances)


@st.composite
def requests(draw: st.DrawFn, gpu: MigGpu, most: int = 7) -> dict[str, int]:
    """Devices of another layout of the same GPU: mostly similar to the present one, and mostly possible."""
    names = [compute.name for profile in gpu.profiles for compute in profile.compute]
    devices = device_counts(gpu) if draw(st.booleans()) else Counter()
    for name in draw(st.lists(st.sampled_from(names), max_size=3)):
        devices[name] = max(0, devices[name] + draw(st.sampled_from((-2, -1, 1, 1, 2))))
    assume(devices.total() <= most)
    return {name: count for name, count in devices.items() if count}


def busy_devices(gpu: MigGpu) -> st.SearchStrategy[frozenset[MigUuid]]:
    uuids = [part.uuid for each in gpu.instances for part in each.compute if part.uuid]
    return st.frozensets(st.sampled_from(uuids)) if uuids else st.just(frozenset())
