"""The compute instances of a GPU instance, compared with the table of NVIDIA's MIG user guide."""

import pytest

from gpu_core.mig.compute import compute_profiles

GIB = 1 << 30
A100 = 40 * GIB


@pytest.mark.parametrize(
    ("number", "slices", "memory_mib", "expected"),
    [
        (0, 1, 4864, {"1g.5gb": (0, 1)}),
        (7, 1, 4864, {"1g.5gb+me": (0, 1)}),
        (1, 2, 9856, {"1c.2g.10gb": (0, 2), "2g.10gb": (1, 1)}),
        (2, 3, 19968, {"1c.3g.20gb": (0, 3), "2c.3g.20gb": (1, 1), "3g.20gb": (2, 1)}),
        (3, 4, 19968, {"1c.4g.20gb": (0, 4), "2c.4g.20gb": (1, 2), "4g.20gb": (3, 1)}),
        (
            4,
            7,
            40192,
            {
                "1c.7g.40gb": (0, 7),
                "2c.7g.40gb": (1, 3),
                "3c.7g.40gb": (2, 2),
                "4c.7g.40gb": (3, 1),
                "7g.40gb": (4, 1),
            },
        ),
    ],
)
def test_the_profiles_are_those_of_the_guide(
    number: int, slices: int, memory_mib: int, expected: dict[str, tuple[int, int]]
) -> None:
    found = compute_profiles(number, slices, memory_mib, A100)
    assert {each.name: (each.number, each.max_count) for each in found} == expected
    assert [each.slices for each in found] == sorted(each.slices for each in found)


def test_a_gpu_instance_of_a_size_that_no_board_has_can_be_used_as_a_whole() -> None:
    assert [each.name for each in compute_profiles(6, 6, 30000, A100)] == ["6g.30gb"]


def test_a_profile_without_a_name_has_no_compute_profiles() -> None:
    assert compute_profiles(99, 1, 4864, A100) == ()
    assert compute_profiles(0, 1, 4864, 0) == ()
