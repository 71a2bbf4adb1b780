"""The placements of GPU instances, compared with the tables of NVIDIA's MIG user guide."""

from itertools import combinations_with_replacement

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_core.mig.model import Placement
from simulation.scenarios.mig_placements import can_add, exceeded, max_instances, place, possible_placements
from simulation.scenarios.mig_profiles import BOARDS, Board

ONE = ((0, 1, 2, 3, 4, 5, 6), 1)
SEVEN_SLICES = {
    0: (*ONE, 7),
    7: (*ONE, 1),
    9: ((0, 2, 4, 6), 2, 4),
    1: ((0, 2, 4), 2, 3),
    2: ((0, 4), 4, 2),
    3: ((0,), 4, 1),
    4: ((0,), 8, 1),
}
FOUR = ((0, 1, 2, 3), 1)
A30 = {0: (*FOUR, 4), 7: (*FOUR, 1), 1: ((0, 2), 2, 2), 8: ((0, 2), 2, 1), 3: ((0,), 4, 1)}
RTX = {
    **dict.fromkeys((0, 10, 13), (*FOUR, 4)),
    **dict.fromkeys((7, 15), (*FOUR, 1)),
    **dict.fromkeys((1, 11, 14), ((0, 2), 2, 2)),
    16: ((0, 2), 2, 1),
    **dict.fromkeys((3, 12), ((0,), 4, 1)),
}
THOR = {
    0: ((0, 1, 2), 1, 2),
    7: ((0, 1, 2), 1, 1),
    10: ((0, 1, 2), 1, 2),
    **dict.fromkeys((1, 11), ((0,), 2, 1)),
    **dict.fromkeys((2, 17), ((0,), 3, 1)),
}
"""NVML_GPU_INSTANCE_PROFILE_* -> starts, memory slices, and the maximum number."""
OTHERS = {"NVIDIA A30": A30, "NVIDIA Thor": THOR, **{model: RTX for model in BOARDS if "RTX" in model}}


@pytest.mark.parametrize("model", BOARDS)
def test_each_profile_has_the_placements_and_the_maximum_of_the_table(model: str) -> None:
    board, found = BOARDS[model], {}
    for profile in board.profiles.values():
        placements = possible_placements(board, profile)
        starts, sizes = tuple(each.start for each in placements), {each.size for each in placements}
        found[profile.number] = (starts, *sizes, max_instances(board, profile))
    assert found == OTHERS.get(model, SEVEN_SLICES)


A100 = BOARDS["NVIDIA A100-SXM4-40GB"]


@pytest.mark.parametrize(
    ("names", "starts"),
    [
        ("7g.40gb", (0,)),
        ("3g.20gb 3g.20gb", (0, 4)),
        ("3g.20gb 2g.10gb 1g.5gb 1g.5gb", (4, 0, 2, 3)),
        ("1g.5gb 3g.20gb", (0, 4)),
        ("4g.20gb 3g.20gb", (0, 4)),
        ("3g.20gb 4g.20gb", (4, 0)),
        ("1g.10gb 2g.10gb 2g.10gb 2g.10gb", (6, 0, 2, 4)),
    ],
)
def test_instances_are_placed_as_low_as_the_others_allow(names: str, starts: tuple[int, ...]) -> None:
    placed = place(A100, [A100.profiles[name] for name in names.split()])
    assert placed is not None
    assert tuple(each.start for each in placed) == starts


@pytest.mark.parametrize("names", ["4g.20gb 4g.20gb", "1g.10gb 2g.10gb 2g.10gb 2g.10gb 1g.5gb", "1g.5gb+me 1g.5gb+me"])
def test_instances_that_do_not_fit_together_have_no_placement(names: str) -> None:
    assert place(A100, [A100.profiles[name] for name in names.split()]) is None


@given(st.sampled_from(list(BOARDS.values())), st.data())
def test_placed_instances_are_disjoint_and_possible(board: Board, data: st.DataObject) -> None:
    profiles = data.draw(st.lists(st.sampled_from(list(board.profiles.values())), max_size=7))
    placed = place(board, profiles)
    if placed is None:
        return
    for at, (profile, placement) in enumerate(zip(profiles, placed, strict=True)):
        others = [each for number, each in enumerate(zip(profiles, placed, strict=True)) if number != at]
        assert placement in possible_placements(board, profile)
        assert can_add(board, others, profile, placement)


@pytest.mark.parametrize("model", ["NVIDIA A30", "NVIDIA A100-SXM4-40GB", "NVIDIA H200", "NVIDIA Thor"])
def test_all_instances_within_the_capacity_of_a_gpu_have_placements(model: str) -> None:
    board = BOARDS[model]
    for count in range(1, 8):
        for profiles in combinations_with_replacement(board.profiles.values(), count):
            if not exceeded(board, profiles):
                assert place(board, profiles) is not None


def test_a_placement_of_another_size_is_not_possible() -> None:
    assert not can_add(A100, (), A100.profiles["2g.10gb"], Placement(start=0, size=4))
    assert not can_add(A100, (), A100.profiles["2g.10gb"], Placement(start=1, size=2))
