"""The response for one container."""

import pytest

from device_plugin.allocate.response import AllocationError, IdStrategy, Response, Strategy, build_response
from device_plugin.allocate.strategies import MOUNTS, DeviceList, ResponseOptions, build_strategies
from device_plugin.devices import Device, DeviceId
from gpu_core.domain.inventory import GpuUuid
from gpu_core.domain.resources import GPU
from node_core.values import replace

DEVICES = {
    DeviceId(f"GPU-{index}"): Device(
        id=DeviceId(f"GPU-{index}"), uuid=f"GPU-{index}", index=str(index), gpu=GpuUuid(f"GPU-{index}")
    )
    for index in range(3)
}
SICK = DEVICES | {DeviceId("GPU-1"): replace(DEVICES[DeviceId("GPU-1")], why_unhealthy="XID 79")}


def envvar(ids: IdStrategy) -> Strategy:
    (strategy,) = build_strategies(ResponseOptions(lists=("envvar",), id_strategy=ids), lambda: "")
    return strategy


def test_ids_are_in_the_order_of_the_request_without_duplicates() -> None:
    response = build_response(GPU, DEVICES, ["GPU-2", "GPU-0", "GPU-2"], [envvar("uuid")])
    assert response == Response(env={"NVIDIA_VISIBLE_DEVICES": "GPU-2,GPU-0"})


def test_indexes_replace_ids_on_request() -> None:
    response = build_response(GPU, DEVICES, ["GPU-2", "GPU-0"], [envvar("index")])
    assert response.env == {"NVIDIA_VISIBLE_DEVICES": "2,0"}


def test_the_results_of_all_strategies_are_merged() -> None:
    def cdi(_: object) -> Response:
        return Response(cdi_devices=("nvidia.com/gpu=0",))

    response = build_response(GPU, DEVICES, ["GPU-0"], [envvar("uuid"), cdi])
    assert response == Response(env={"NVIDIA_VISIBLE_DEVICES": "GPU-0"}, cdi_devices=("nvidia.com/gpu=0",))


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        (("envvar",), Response(env={"NVIDIA_VISIBLE_DEVICES": ""})),
        (("volume-mounts",), Response(env={"NVIDIA_VISIBLE_DEVICES": MOUNTS})),
        (("cdi-annotations", "cdi-cri"), Response()),
    ],
)
def test_a_request_without_devices_gets_no_gpu_for_any_environment_of_the_image(
    lists: tuple[DeviceList, ...], expected: Response
) -> None:
    strategies = build_strategies(ResponseOptions(lists=lists), lambda: "")
    assert build_response(GPU, DEVICES, [], strategies) == expected


def test_an_unknown_id_is_an_error_that_contains_the_id() -> None:
    with pytest.raises(AllocationError, match=r"nvidia\.com/gpu has no device 'GPU-9'") as caught:
        build_response(GPU, DEVICES, ["GPU-0", "GPU-9"], [envvar("uuid")])
    assert caught.value.code == "NOT_FOUND"


def test_an_unhealthy_device_is_an_error_that_contains_the_reason() -> None:
    with pytest.raises(AllocationError, match="'GPU-1' is unhealthy: XID 79") as caught:
        build_response(GPU, SICK, ["GPU-1"], [envvar("uuid")])
    assert caught.value.code == "FAILED_PRECONDITION"
