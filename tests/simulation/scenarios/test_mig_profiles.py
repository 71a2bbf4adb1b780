"""The MIG profiles of all boards, for comparison with `nvidia-smi mig -lgip`."""

from dataclasses import astuple, fields
from itertools import pairwise

import pytest

from simulation.scenarios.mig_profiles import BOARDS, Board, InstanceProfile
from tests.conftest import Golden

TITLES = ["profile", *(field.name for field in fields(InstanceProfile))]


def render(model: str, board: Board) -> list[str]:
    rows = [[name, *map(str, astuple(profile))] for name, profile in board.profiles.items()]
    title = f"{model}: {board.memory_mib} MiB, at most {board.max_devices} MIG devices"
    return [title, *("".join(f"{word:<16}" for word in row).rstrip() for row in [TITLES, *rows]), ""]


@pytest.mark.golden
def test_the_profiles_of_each_board_are_those_of_the_golden_file(golden: Golden) -> None:
    golden("simulation/mig_profiles.txt", "\n".join(line for each in BOARDS.items() for line in render(*each)))


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_a_larger_profile_has_at_least_the_memory_and_multiprocessors_of_a_smaller_one(board: Board) -> None:
    profiles = sorted(board.profiles.values(), key=lambda each: (each.memory_slices, each.slices))
    for smaller, larger in pairwise(profiles):
        assert smaller.memory_mib <= larger.memory_mib
        if smaller.slices <= larger.slices:
            assert smaller.multiprocessors <= larger.multiprocessors
