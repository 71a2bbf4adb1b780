"""Replicas compared with the documented rule, and the number of replicas per container."""

import itertools
import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_plugin.allocate.preferred import select_preferred_ids
from device_plugin.allocate.replicas import refusal_reason
from device_plugin.devices import Device, DeviceId, Policy, ResourceOffer
from gpu_core.domain.inventory import GpuUuid
from gpu_core.domain.sharing import SharingStrategy


def shared(*counts: int, policy: Policy = "distributed", fail: bool = False) -> ResourceOffer:
    """Builds one GPU for each count. A GPU with count 0 is not shared."""
    devices = [
        Device(
            id=DeviceId(f"G{gpu}::{replica}" if count else f"G{gpu}"), uuid=f"G{gpu}", index=str(gpu),
            gpu=GpuUuid(f"G{gpu}"), replica=replica if count else None,
        )
        for gpu, count in enumerate(counts)
        for replica in range(count or 1)
    ]  # fmt: skip
    return ResourceOffer(
        devices=tuple(devices), sharing=SharingStrategy.TIME_SLICING, policy=policy, fail_requests_greater_than_one=fail
    )


def prefer(offer: ResourceOffer, available: Sequence[str], size: int, required: Sequence[str] = ()) -> list[str]:
    return list(select_preferred_ids(offer, {device.id: device for device in offer.devices}, available, required, size))


def select_by_rule(offer: ResourceOffer, available: Sequence[str], size: int, required: Sequence[str]) -> list[str]:
    """Selects one replica at a time: the best device, then its first available replica."""
    free = [device for device in offer.devices if device.id in available and device.id not in required]
    picked = Counter(device.uuid for device in offer.devices if device.id in required)
    sign = 1 if offer.policy == "distributed" else -1
    chosen: list[str] = []
    while free and len(required) + len(chosen) < size:
        total, left = (Counter(device.uuid for device in group) for group in (offer.devices, free))
        best = min(
            free,
            key=lambda device: (sign * (total[device.uuid] - left[device.uuid]), picked[device.uuid], device.order),
        )
        free.remove(best)
        picked[best.uuid] += 1
        chosen.append(best.id)
    return [*required, *chosen]


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=5),
    st.sampled_from(["distributed", "packed"]),
    st.integers(0, 12),
    st.data(),
)
def test_the_selection_equals_the_documented_rule(
    counts: list[int], policy: Policy, size: int, data: st.DataObject
) -> None:
    offer = shared(*counts, policy=policy)
    ids = [str(device.id) for device in offer.devices]
    available = data.draw(st.lists(st.sampled_from(ids), unique=True))
    required = data.draw(st.lists(st.sampled_from(available), unique=True, max_size=2)) if available else []
    expected = select_by_rule(offer, available, size, required)
    assert prefer(offer, available, size, required) == expected
    assert prefer(offer, available[::-1], size, required) == expected


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [("distributed", ["G0::0", "G2::0", "G1::1"]), ("packed", ["G1::1", "G1::2", "G1::3"])],
)
def test_replicas_are_selected_by_the_policy(policy: Policy, chosen: list[str]) -> None:
    offer = shared(4, 4, 4, policy=policy)
    available = [str(device.id) for device in offer.devices if device.id != "G1::0"]
    assert prefer(offer, available, 3) == chosen


@pytest.mark.parametrize("policy", ["distributed", "packed"])
def test_four_hundred_of_eight_hundred_replicas_are_selected_by_the_policy(policy: Policy) -> None:
    offer = shared(*[100] * 8, policy=policy)
    available = [str(device.id) for device in offer.devices]
    random.Random(1).shuffle(available)
    chosen = prefer(offer, available, 400)
    assert len(set(chosen)) == 400
    assert Counter(each.partition("::")[0] for each in chosen) == (
        {f"G{gpu}": 50 for gpu in range(8)} if policy == "distributed" else {f"G{gpu}": 100 for gpu in range(4)}
    )


def test_a_second_replica_is_refused_only_if_this_is_configured() -> None:
    ids = ["G0::0", "G1::0"]
    for offer, requested in itertools.product((shared(2, 2), shared(2, 2, fail=True)), (ids, ids[:1], [], ["?", "??"])):
        table = {device.id: device for device in offer.devices}
        refused = refusal_reason(offer, table, requested)
        assert (refused is not None) == (offer.fail_requests_greater_than_one and requested == ids)
    assert "requested 2 shared devices" in (
        refusal_reason(shared(2, 2, fail=True), {d.id: d for d in shared(2, 2).devices}, ids) or ""
    )


def test_devices_that_are_not_shared_can_be_requested_together() -> None:
    offer = shared(0, 0, 2, fail=True)
    table = {device.id: device for device in offer.devices}
    assert refusal_reason(offer, table, ["G0", "G1"]) is None
    assert refusal_reason(offer, table, ["G0", "G2::1"]) is not None
