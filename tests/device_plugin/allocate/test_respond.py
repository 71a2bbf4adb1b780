"""What a container is told."""

from dataclasses import replace

import pytest

from device_plugin.allocate.respond import AllocationError, IdStrategy, Response, Strategy, respond
from device_plugin.allocate.strategies import Answering, build_strategies
from device_plugin.devices import Device, DeviceId
from node_core.domain.inventory import GpuUuid
from node_core.domain.resources import GPU

DEVICES = {
    DeviceId(f"GPU-{index}"): Device(
        id=DeviceId(f"GPU-{index}"), uuid=f"GPU-{index}", index=str(index), gpu=GpuUuid(f"GPU-{index}")
    )
    for index in range(3)
}
SICK = DEVICES | {DeviceId("GPU-1"): replace(DEVICES[DeviceId("GPU-1")], why_unhealthy="XID 79")}


def envvar(ids: IdStrategy) -> Strategy:
    (strategy,) = build_strategies(Answering(lists=("envvar",), id_strategy=ids), lambda: "")
    return strategy


def test_ids_stand_in_the_order_of_the_request_and_each_once() -> None:
    response = respond(GPU, DEVICES, ["GPU-2", "GPU-0", "GPU-2"], [envvar("uuid")])
    assert response == Response(env={"NVIDIA_VISIBLE_DEVICES": "GPU-2,GPU-0"})


def test_indices_stand_for_ids_on_request() -> None:
    response = respond(GPU, DEVICES, ["GPU-2", "GPU-0"], [envvar("index")])
    assert response.env == {"NVIDIA_VISIBLE_DEVICES": "2,0"}


def test_strategies_add_up() -> None:
    def cdi(_: object) -> Response:
        return Response(cdi_devices=("nvidia.com/gpu=0",))

    response = respond(GPU, DEVICES, ["GPU-0"], [envvar("uuid"), cdi])
    assert response == Response(env={"NVIDIA_VISIBLE_DEVICES": "GPU-0"}, cdi_devices=("nvidia.com/gpu=0",))


def test_nothing_asked_is_nothing_said() -> None:
    assert respond(GPU, DEVICES, [], [envvar("uuid")]) == Response()


def test_an_unknown_id_is_an_error_that_names_it() -> None:
    with pytest.raises(AllocationError, match=r"nvidia\.com/gpu has no device 'GPU-9'") as caught:
        respond(GPU, DEVICES, ["GPU-0", "GPU-9"], [envvar("uuid")])
    assert caught.value.code == "NOT_FOUND"


def test_an_unhealthy_device_is_an_error_that_says_why() -> None:
    with pytest.raises(AllocationError, match="'GPU-1' is unhealthy: XID 79") as caught:
        respond(GPU, SICK, ["GPU-1"], [envvar("uuid")])
    assert caught.value.code == "FAILED_PRECONDITION"
