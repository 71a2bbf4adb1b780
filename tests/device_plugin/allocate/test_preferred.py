"""Requests of preferred devices."""

from hypothesis import given
from hypothesis import strategies as st

from node_core.values import replace
from tests.device_plugin.allocate.devices import CUBE, node, prefer


def test_the_result_does_not_depend_on_the_order_of_the_request() -> None:
    devices = node(8, CUBE, [0] * 8)
    forward = [device.id for device in devices]
    assert prefer(devices, 3, available=forward) == prefer(devices, 3, available=forward[::-1])


@given(
    available=st.lists(st.sampled_from([*(f"GPU-{index}" for index in range(6)), "GPU-9", "", "tegra"]), max_size=12),
    required=st.lists(st.sampled_from(["GPU-0", "GPU-5", "GPU-9"]), max_size=3),
    size=st.integers(-(2**31), 2**31 - 1),
    sick=st.booleans(),
)
def test_every_request_has_a_response(available: list[str], required: list[str], size: int, sick: bool) -> None:
    devices = node(6, {(0, 1): 2}, [0] * 6)
    if sick:
        devices[3] = replace(devices[3], why_unhealthy="lost")
    chosen = prefer(devices, size, required, available or [""])
    usable = {device.id for device in devices if device.is_healthy} & set(available)
    assert len(set(chosen)) == len(chosen)
    assert set(required) <= set(chosen) <= usable | set(required)
    assert len(chosen) == max(len(set(required)), min(size, len(usable | set(required))))
