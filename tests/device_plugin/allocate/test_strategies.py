"""The responses of each device list strategy, compared with golden files."""

import itertools
import json
from collections.abc import Callable, Sequence
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_plugin.allocate.response import AllocationError, Response, build_response
from device_plugin.allocate.strategies import (
    DeviceList,
    ResponseOptions,
    build_strategies,
)
from device_plugin.devices import Device, DeviceId
from gpu_core.cdi.kinds import CONTROL_NODES
from gpu_core.domain.cdi import VENDOR as CDI_VENDOR
from gpu_core.domain.inventory import GpuUuid
from gpu_core.domain.resources import GPU, ResourceName
from gpu_core.mps.spec import MpsAccess
from node_core.values import replace

RESOURCE = ResourceName("nvidia.com/gpu.shared")
MIG_PATHS = ("/dev/nvidia0", "/dev/nvidia-caps/nvidia-cap12", "/dev/nvidia-caps/nvidia-cap13")


def whole(index: int, replica: int | None = None) -> Device:
    uuid = f"GPU-{index}"
    suffix = "" if replica is None else f"::{replica}"
    return Device(
        id=DeviceId(uuid + suffix), uuid=uuid, replica=replica, index=str(index), gpu=GpuUuid(uuid), paths=(f"/dev/nvidia{index}",)
    )  # fmt: skip


def slice_of(slot: int) -> Device:
    uuid = f"MIG-0-{slot}"
    return Device(id=DeviceId(uuid), uuid=uuid, index=f"0:{slot}", gpu=GpuUuid("GPU-0"), paths=MIG_PATHS)


REQUESTS: dict[str, tuple[Device, ...]] = {
    "two GPUs": (whole(3), whole(1)),
    "two replicas of one GPU": (whole(1, 2), whole(1, 0)),
    "two MIG devices": (slice_of(1), slice_of(0)),
}
UUIDS = ("GPU-1", "GPU-3", "MIG-0-0", "MIG-0-1")
CDI = {"gpu": {uuid: uuid for uuid in UUIDS}, "imex-channel": {"0": "0"}, "gds": {"all": "all"}}
INDEXED = {"gpu": {"GPU-1": "1", "GPU-3": "3"}}
FULL = ResponseOptions(
    cdi_names=CDI,
    device_specs=True,
    control_nodes=CONTROL_NODES,
    dev_root="/run/nvidia/driver/",
    imex_channels=(0,),
    optional=("gdrcopy", "gds"),
    mps=MpsAccess(
        pipe=f"/run/nvidia/mps/{RESOURCE}/pipe", shm="/run/nvidia/mps/shm", container_pipe=f"/mps/{RESOURCE}/pipe"
    ),
)


def allocate(devices: Sequence[Device], how: ResponseOptions) -> Response:
    known = {device.id: device for device in devices}
    return build_response(GPU, known, [device.id for device in devices], build_strategies(how, lambda: "token"))


@pytest.mark.golden
@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("device_list", get_args(DeviceList))
def test_a_response_equals_its_golden_file(
    golden: Callable[[str, str], None], device_list: DeviceList, request_name: str
) -> None:
    plain = ResponseOptions(lists=(device_list,), cdi_names=CDI)
    responses = {
        how: msgspec.to_builtins(allocate(REQUESTS[request_name], response_options))
        for how, response_options in (("plain", plain), ("everything", replace(FULL, lists=(device_list,))))
    }
    name = f"{device_list}-{request_name.replace(' ', '-')}.json"
    golden(f"allocate/{name}", json.dumps(responses, indent=1, sort_keys=True) + "\n")


def test_strategies_are_merged_and_mounts_override_the_environment() -> None:
    response = allocate((whole(1),), ResponseOptions(lists=("envvar", "volume-mounts", "cdi-cri"), cdi_names=CDI))
    assert response.env == {"NVIDIA_VISIBLE_DEVICES": "/var/run/nvidia-container-devices"}
    assert [mount.container_path for mount in response.mounts] == ["/var/run/nvidia-container-devices/GPU-1"]
    assert response.cdi_devices == (f"{CDI_VENDOR}/gpu=GPU-1",)


def test_indexes_replace_uuids_on_request() -> None:
    response = allocate(
        (whole(3), whole(1)), ResponseOptions(lists=("envvar", "cdi-cri"), id_strategy="index", cdi_names=INDEXED)
    )
    assert response.env == {"NVIDIA_VISIBLE_DEVICES": "3,1"}
    assert response.cdi_devices == (f"{CDI_VENDOR}/gpu=3", f"{CDI_VENDOR}/gpu=1")


@pytest.mark.parametrize("device_list", ["cdi-cri", "cdi-annotations"])
def test_a_device_without_a_cdi_specification_is_refused(device_list: DeviceList) -> None:
    with pytest.raises(AllocationError, match="no CDI specification contains a device for GPU-2") as refusal:
        allocate((whole(2),), ResponseOptions(lists=(device_list,), cdi_names=CDI))
    assert refusal.value.code == "FAILED_PRECONDITION"


def test_optional_classes_without_a_specification_are_omitted() -> None:
    response = allocate((whole(1),), replace(FULL, lists=("cdi-cri",)))
    assert response.cdi_devices == tuple(f"{CDI_VENDOR}/{name}" for name in ("gpu=GPU-1", "imex-channel=0", "gds=all"))


def test_each_container_gets_an_annotation_with_a_unique_name() -> None:
    tokens = map(str, itertools.count())
    (strategy,) = build_strategies(ResponseOptions(lists=("cdi-annotations",), cdi_names=CDI), lambda: next(tokens))
    keys = [key for _ in range(2) for key in strategy((whole(1),)).annotations]
    assert keys == ["cdi.k8s.io/nvidia-device-plugin_0", "cdi.k8s.io/nvidia-device-plugin_1"]


@given(st.lists(st.sampled_from([whole(g, r) for g in range(4) for r in range(3)]), min_size=1, unique=True))
def test_devices_and_device_nodes_are_listed_once(devices: list[Device]) -> None:
    response = allocate(devices, ResponseOptions(device_specs=True, control_nodes=CONTROL_NODES))
    names = response.env["NVIDIA_VISIBLE_DEVICES"].split(",")
    assert names == list(dict.fromkeys(str(device.gpu) for device in devices))
    paths = [node.container_path for node in response.devices]
    assert len(paths) == len(set(paths)) == len(CONTROL_NODES) + len(names)
