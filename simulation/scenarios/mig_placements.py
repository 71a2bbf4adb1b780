"""Where GPU instances can be placed in the memory of a GPU. PURE.

Source: the placements that NVIDIA's MIG user guide lists for boards with four and with eight memory slices.
"""

from collections.abc import Collection, Iterator, Sequence

from gpu_core.mig.model import Placement
from simulation.scenarios.mig_profiles import BOARDS, CAPACITIES, Board, Instance, InstanceProfile

Placed = tuple[InstanceProfile, Placement]


def possible_placements(board: Board, profile: InstanceProfile) -> tuple[Placement, ...]:
    """The placements on an empty GPU. The start is a multiple of the size, and behind it are enough compute slices.

    A board with eight memory slices has seven compute slices, so the last memory slice is not the start of any placement.
    """
    size, whole = profile.memory_slices, board.whole
    starts = range(0, whole.memory_slices - size + 1, size)
    return tuple(Placement(start=start, size=size) for start in starts if start + profile.slices <= whole.slices)


def max_instances(board: Board, profile: InstanceProfile) -> int:
    """The number of GPU instances of one profile on an empty GPU."""
    needs: dict[str, int] = {name: getattr(profile, name) for name, _ in CAPACITIES}
    limits: list[int] = [getattr(board.whole, name) // need for name, need in needs.items() if need]
    return min(len(possible_placements(board, profile)), *limits)


def exceeded(board: Board, profiles: Collection[InstanceProfile]) -> tuple[str, ...]:
    """What the GPU instances need more than the GPU has, such as `3 of 1 OFA engines`."""
    used = {name: sum(getattr(each, name) for each in profiles) for name, _ in CAPACITIES}
    has = {name: getattr(board.whole, name) for name, _ in CAPACITIES}
    return tuple(f"{used[name]} of {has[name]} {text}" for name, text in CAPACITIES if used[name] > has[name])


def can_add(board: Board, present: Sequence[Placed], profile: InstanceProfile, placement: Placement) -> bool:
    """Whether a GPU with these GPU instances has room for another one at this placement."""
    taken = {number for _, other in present for number in other.slices}
    return (
        placement in possible_placements(board, profile)
        and taken.isdisjoint(placement.slices)
        and not exceeded(board, [*(each for each, _ in present), profile])
    )


def place(board: Board, profiles: Sequence[InstanceProfile]) -> tuple[Placement, ...] | None:
    """A placement for each profile; the first profiles have the lowest possible ones. None if the profiles do not fit together."""
    found = next(_place(board, (), profiles), None)
    return None if found is None else tuple(placement for _, placement in found)


def _place(
    board: Board, present: tuple[Placed, ...], profiles: Sequence[InstanceProfile]
) -> Iterator[tuple[Placed, ...]]:
    if not profiles:
        yield present
        return
    for placement in possible_placements(board, profiles[0]):
        if can_add(board, present, profiles[0], placement):
            yield from _place(board, (*present, (profiles[0], placement)), profiles[1:])


def capacity_problem(model: str, instances: Sequence[Instance]) -> str | None:
    """Returns why a GPU of a known model cannot have all these instances, or None. Instances without a problem have placements."""
    board, profiles = BOARDS[model], [each.profile for each in instances]
    if len(instances) > board.max_devices:
        return f"{model} can have at most {board.max_devices} MIG devices, not {len(instances)}"
    problems = exceeded(board, profiles)
    return f"the instances use {' and '.join(problems)}" if problems else None
