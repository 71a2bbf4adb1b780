"""MIG devices on as few GPUs as possible."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.device_plugin.allocate.devices import mig_devices_of, prefer


@pytest.mark.parametrize(
    ("counts", "required", "size", "chosen"),
    [
        ((7, 2, 3), [], 2, ["MIG-1-0", "MIG-1-1"]),
        ((7, 2, 3), [], 3, ["MIG-2-0", "MIG-2-1", "MIG-2-2"]),
        ((4, 2, 3), [], 6, ["MIG-0-0", "MIG-0-1", "MIG-0-2", "MIG-0-3", "MIG-1-0", "MIG-1-1"]),
        ((7, 2, 3), ["MIG-0-6"], 2, ["MIG-0-6", "MIG-0-0"]),
    ],
    ids=[
        "fewest sufficient devices",
        "exact number",
        "most devices, then the rest",
        "on the GPU of the required device",
    ],
)
def test_mig_devices_are_packed(counts: tuple[int, ...], required: list[str], size: int, chosen: list[str]) -> None:
    assert prefer(mig_devices_of(*counts), size, required) == chosen


@given(st.lists(st.integers(1, 7), min_size=1, max_size=8), st.data())
def test_packed_mig_devices_use_the_fewest_gpus(counts: list[int], data: st.DataObject) -> None:
    size = data.draw(st.integers(0, sum(counts)))
    used = {each.split("-")[1] for each in prefer(mig_devices_of(*counts), size)}
    needed = next(n for n in range(len(counts) + 1) if sum(sorted(counts, reverse=True)[:n]) >= size)
    assert len(used) <= max(needed, 1)


def test_packed_mig_devices_stay_on_one_numa_node_if_no_other_gpu_is_needed() -> None:
    devices = mig_devices_of(3, 3, 3, 3, numa=[0, 1, 0, 1])
    assert {each.split("-")[1] for each in prefer(devices, 6)} == {"0", "2"}
