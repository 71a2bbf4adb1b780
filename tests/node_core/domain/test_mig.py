"""Profile names, against what boards print."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_core.domain.labels import key_problem
from node_core.domain.mig import COMPUTE_INSTANCE_SLICES, GPU_INSTANCE_SLICES, MIB, label_form, profile_name

A100_40 = 40536 * MIB
H100 = 81559 * MIB


@pytest.mark.parametrize(
    ("gpu_profile", "compute_profile", "memory", "total", "name"),
    [
        (0, 0, 4864, A100_40, "1g.5gb"),
        (1, 1, 9856, A100_40, "2g.10gb"),
        (2, 2, 19968, A100_40, "3g.20gb"),
        (3, 3, 19968, A100_40, "4g.20gb"),
        (4, 4, 40192, A100_40, "7g.40gb"),
        (0, 0, 9856, H100, "1g.10gb"),
        (9, 0, 19968, H100, "1g.20gb"),
        (2, 2, 40448, H100, "3g.40gb"),
        (4, 4, 81079, H100, "7g.80gb"),
        (7, 0, 9856, H100, "1g.10gb+me"),
        (8, 1, 19968, H100, "2g.20gb+me"),
        (13, 0, 9856, H100, "1g.10gb-me"),
        (15, 0, 9856, H100, "1g.10gb+me.all"),
        (10, 0, 9856, H100, "1g.10gb+gfx"),
        (4, 8, 81079, H100, "7g.80gb"),
        (0, 7, 9856, H100, "1g.10gb"),
        (1, 0, 19968, H100, "1c.2g.20gb"),
        (2, 1, 40448, H100, "2c.3g.40gb"),
        (8, 0, 19968, H100, "1c.2g.20gb+me"),
        # 2/8 of 186 GiB is 46.5, and the board prints 47: halves go up, where Python's round would go to 46.
        (1, 1, 46592, 189471 * MIB, "2g.47gb"),
        (0, 0, 22528, 189471 * MIB, "1g.23gb"),
    ],
)
def test_a_profile_is_named_as_nvidia_smi_names_it(
    gpu_profile: int, compute_profile: int, memory: int, total: int, name: str
) -> None:
    assert profile_name(gpu_profile, compute_profile, memory, total) == name


@pytest.mark.parametrize(("gpu_profile", "compute_profile"), [(17, 2), (18, 0), (0, 9), (-1, 0)])
def test_a_profile_outside_the_tables_has_no_name(gpu_profile: int, compute_profile: int) -> None:
    assert profile_name(gpu_profile, compute_profile, 9856, H100) is None


def test_shares_of_a_board_without_memory_have_no_name() -> None:
    assert profile_name(0, 0, 9856, 0) is None


@pytest.mark.parametrize(
    ("profile", "form"),
    [
        ("1g.10gb", "1g.10gb"),
        ("1g.10gb+me", "1g.10gb.me"),
        ("1g.10gb+me.all", "1g.10gb.me.all"),
        ("2g.48gb+gfx", "2g.48gb.gfx"),
        ("1g.10gb-me", "1g.10gb-me"),
    ],
)
def test_in_labels_a_dot_stands_for_the_plus(profile: str, form: str) -> None:
    assert label_form(profile) == form


@given(
    st.sampled_from(sorted(GPU_INSTANCE_SLICES)),
    st.sampled_from(sorted(COMPUTE_INSTANCE_SLICES)),
    st.integers(1, 1 << 20),
    st.integers(1, 1 << 44),
)
def test_every_name_can_stand_in_a_resource_name(gpu: int, compute: int, memory: int, total: int) -> None:
    name = profile_name(gpu, compute, memory, total)
    assert name is not None
    assert key_problem(f"nvidia.com/mig-{label_form(name)}") is None
