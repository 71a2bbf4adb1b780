"""Describes plans for people. PURE."""

from collections import Counter
from collections.abc import Iterable, Iterator

from gpu_core.mig.model import MigGpu
from gpu_core.mig.plan import GpuPlan


def describe_plan(plan: GpuPlan) -> str:
    """Returns a clause: `GPU 0 (GPU-1): MIG mode on, 1g.10gb destroyed, 2 x 3g.40gb created`."""
    return f"{plan.gpu.name}: {', '.join(_parts(plan))}"


def _parts(plan: GpuPlan) -> Iterator[str]:
    if plan.mode is not None:
        yield f"MIG mode {'on' if plan.mode else 'off'}"
    destroyed = (each.profile for each in plan.destroy)
    created = (each.profile for each in plan.create)
    yield from _count((_profile(plan.gpu, number) for number in destroyed), "destroyed")
    yield from _count((_profile(plan.gpu, number) for number in created), "created")
    if plan.destroy_compute:
        yield f"{len(plan.destroy_compute)} compute instances destroyed"
    if plan.create_compute:
        yield f"{len(plan.create_compute)} compute instances created"


def _count(names: Iterable[str], verb: str) -> Iterator[str]:
    for name, count in sorted(Counter(names).items()):
        yield f"{f'{count} x ' if count > 1 else ''}{name} {verb}"


def _profile(gpu: MigGpu, number: int) -> str:
    known = gpu.profile(number)
    return f"profile {number}" if known is None else known.name
