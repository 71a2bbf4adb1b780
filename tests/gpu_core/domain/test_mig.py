"""The names of MIG profiles, compared with the output of real boards."""

from collections.abc import Iterator

import pytest
from _pytest.mark import ParameterSet
from hypothesis import given
from hypothesis import strategies as st

from gpu_core.domain.mig import COMPUTE_INSTANCE_SLICES, GPU_INSTANCE_SLICES, MIB, label_form, profile_name
from node_core.domain.labels import key_problem

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
        # 2/8 of 186 GiB is 46.5, and the board prints 47: halves are rounded up. Python's round() would return 46.
        (1, 1, 46592, 189471 * MIB, "2g.47gb"),
        (0, 0, 22528, 189471 * MIB, "1g.23gb"),
    ],
)
def test_a_profile_is_named_as_nvidia_smi_names_it(
    gpu_profile: int, compute_profile: int, memory: int, total: int, name: str
) -> None:
    assert profile_name(gpu_profile, compute_profile, memory, total) == name


# The output of `nvidia-smi mig -lgip` on real boards: the board and its memory in MiB, then the name and GiB of each profile.
PRINTED = """
H100-80GB-HBM3 81559: 1g.10gb 9.75, 1g.10gb+me 9.75, 1g.20gb 19.62, 2g.20gb 19.62, 3g.40gb 39.50, 4g.40gb 39.50, 7g.80gb 79.25
H100-NVL 95830: 1g.12gb 10.75, 1g.12gb+me 10.75, 1g.24gb 21.62, 2g.24gb 21.62
H200 143771: 1g.18gb 16.00, 1g.18gb+me 16.00, 1g.35gb 32.25, 2g.35gb 32.25, 3g.71gb 69.50, 4g.71gb 69.50, 7g.141gb 139.75
B200 183359: 1g.23gb 22.00, 1g.23gb+me 22.00, 1g.45gb 44.25, 2g.45gb 44.25
B200-of-an-older-driver 183359: 1g.23gb 20.50, 1g.23gb+me 20.50, 1g.45gb 44.25, 2g.45gb 44.25
GB200 189471: 1g.23gb 22.00, 1g.23gb+me 22.00, 1g.47gb 45.50, 2g.47gb 45.50
RTX-PRO-6000-Blackwell-Server 97887: 1g.24gb 23.12, 1g.24gb+me 23.12, 1g.24gb+gfx 23.12, 1g.24gb+me.all 23.12
"""
"""Sources: NVIDIA/mig-parted#120, #166, #227, NVIDIA/gpu-operator#900, #1351 and bigstack-oss/cubecos#312 on github.com; for the H100:
jbarrow.ai/field_notes/nvidia-mig. The memory of the boards comes from other outputs of nvidia-smi."""


def printed_profiles() -> Iterator[ParameterSet]:
    for line in PRINTED.strip().splitlines():
        head, _, profiles = line.partition(": ")
        board, total = head.split()
        for profile in profiles.split(", "):
            name, gib = profile.split()
            yield pytest.param(int(total), name, float(gib), id=f"{board}-{name}")


@pytest.mark.parametrize(("total", "name", "gib"), [*printed_profiles()])
def test_a_profile_is_named_as_real_boards_print_it(total: int, name: str, gib: float) -> None:
    slices, suffix = int(name[0]), name.partition("gb")[2]
    gpu_profile = next(number for number, parts in GPU_INSTANCE_SLICES.items() if parts == (slices, suffix))
    compute_profile = next(number for number, count in COMPUTE_INSTANCE_SLICES.items() if count == slices)
    assert profile_name(gpu_profile, compute_profile, int(gib * 1024), total * MIB) == name


@pytest.mark.parametrize(("gpu_profile", "compute_profile"), [(18, 0), (0, 9), (-1, 0)])
def test_a_profile_outside_the_tables_has_no_name(gpu_profile: int, compute_profile: int) -> None:
    assert profile_name(gpu_profile, compute_profile, 9856, H100) is None


def test_a_profile_without_the_memory_of_its_gpu_has_no_name() -> None:
    assert profile_name(0, 0, 9856, 0) is None


@pytest.mark.parametrize(
    ("gpu_profile", "compute_profile", "name"),
    [(7, 0, "1g.0gb+me"), (11, 1, "2g.0gb+gfx"), (17, 2, "3g.0gb+gfx"), (2, 1, "2c.3g.0gb")],
)
def test_a_profile_of_a_gpu_without_its_own_memory_is_named_with_zero(
    gpu_profile: int, compute_profile: int, name: str
) -> None:
    assert profile_name(gpu_profile, compute_profile, 0, 0) == name


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
def test_labels_contain_a_dot_instead_of_the_plus(profile: str, form: str) -> None:
    assert label_form(profile) == form


@given(
    st.sampled_from(sorted(GPU_INSTANCE_SLICES)),
    st.sampled_from(sorted(COMPUTE_INSTANCE_SLICES)),
    st.integers(1, 1 << 20),
    st.integers(1, 1 << 44),
)
def test_every_profile_name_is_valid_in_a_resource_name(gpu: int, compute: int, memory: int, total: int) -> None:
    name = profile_name(gpu, compute, memory, total)
    assert name is not None
    assert key_problem(f"nvidia.com/mig-{label_form(name)}") is None
