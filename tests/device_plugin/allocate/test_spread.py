"""MIG devices on as many GPUs as possible."""

import itertools
from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.device_plugin.allocate.devices import mig_devices_of, prefer
from tests.exhaustive import many


@pytest.mark.parametrize(
    ("counts", "required", "available", "size", "chosen"),
    [
        ((7, 2, 3), [], [], 2, ["MIG-0-0", "MIG-1-0"]),
        ((7, 2, 3), [], [], 4, ["MIG-0-0", "MIG-1-0", "MIG-2-0", "MIG-0-1"]),
        ((2, 2, 2), ["MIG-0-1"], [], 3, ["MIG-0-1", "MIG-1-0", "MIG-2-0"]),
        ((2, 2), [], ["MIG-0-1", "MIG-1-0", "MIG-1-1"], 1, ["MIG-1-0"]),
        ((3, 1), [], [], 4, ["MIG-0-0", "MIG-1-0", "MIG-0-1", "MIG-0-2"]),
    ],
    ids=["one of each", "round robin", "not on the GPU of the required device", "fewest in use", "all available"],
)
def test_mig_devices_are_spread_on_request(
    counts: tuple[int, ...], required: list[str], available: list[str], size: int, chosen: list[str]
) -> None:
    assert prefer(mig_devices_of(*counts), size, required, available, policy="distributed") == chosen


@many(200)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=4), st.data())
def test_no_other_selection_of_mig_devices_is_spread_better(counts: list[int], data: st.DataObject) -> None:
    devices = mig_devices_of(*counts)
    ids = [str(device.id) for device in devices]
    available = data.draw(st.sets(st.sampled_from(ids), min_size=1)) if ids else set[str]()
    required = data.draw(st.sets(st.sampled_from(sorted(available)), max_size=2)) if ids else set[str]()
    size = data.draw(st.integers(len(required), len(available)))
    assume(
        len({each.split("-")[1] for each in available}) < len(available)
    )  # with one device of each GPU, links decide
    in_use = Counter(each.split("-")[1] for each in set(ids) - available)

    def cost(chosen: Iterable[str]) -> tuple[int, int]:
        """The sum of squares is minimal if no GPU has two more devices than another GPU; then GPUs with fewer devices in use are better."""
        per_gpu = Counter(each.split("-")[1] for each in chosen)
        return sum(count * count for count in per_gpu.values()), sum(in_use[gpu] * per_gpu[gpu] for gpu in per_gpu)

    chosen = prefer(devices, size, sorted(required), sorted(available), policy="distributed")
    others = itertools.combinations(sorted(available - required), size - len(required))
    assert cost(chosen) == min(cost((*required, *other)) for other in others)
