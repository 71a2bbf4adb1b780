"""The calls about MIG layouts through pynvml: arguments, arrays, structures and error codes."""

import ctypes
from collections.abc import Callable
from typing import Any

import pynvml
import pytest

from gpu_core.mig.model import Engines, Placement
from gpu_core.nvml.mig_api import InstanceInfo, InstanceProfileInfo
from node_core.errors import NvmlError
from tests.gpu_core.nvml.fake_pynvml import calls, raising

DEVICE = object()


def filling(kind: Any, *elements: Any) -> Callable[..., None]:
    """A function of NVML that fills an array."""

    def fill(_parent: object, _profile: int, array: Any, count: Any) -> None:
        assert len(array) >= len(elements)
        for at, element in enumerate(elements):
            array[at] = element
        ctypes.cast(count, ctypes.POINTER(ctypes.c_uint))[0] = len(elements)

    assert all(isinstance(each, kind) for each in elements)
    return fill


def placement(start: int, size: int) -> Any:
    return pynvml.c_nvmlGpuInstancePlacement_t(start=start, size=size)


@pytest.mark.parametrize(
    ("status", "code"), [(0, None), (16, "RESET_REQUIRED"), (19, "IN_USE"), (12345, "ERROR_12345")]
)
def test_the_activation_status_of_the_mig_mode_is_a_code(status: int, code: str | None) -> None:
    seen = []

    def change(_: object, mode: int) -> int:
        seen.append(mode)
        return status

    assert calls(nvmlDeviceSetMigMode=change).device_set_mig_mode(DEVICE, True) == code
    assert calls(nvmlDeviceSetMigMode=change).device_set_mig_mode(DEVICE, False) == code
    assert seen == [1, 0]


def test_the_pending_mode_differs_from_the_current_one() -> None:
    found = calls(nvmlDeviceGetMigMode=lambda _: [0, 1])
    assert (found.device_get_mig_mode(DEVICE), found.device_get_pending_mig_mode(DEVICE)) == (False, True)


def test_the_pci_ids_are_those_of_the_pci_info() -> None:
    info = pynvml.nvmlPciInfo_t(pciDeviceId=0x233010DE, pciSubSystemId=0x16C110DE)
    assert calls(nvmlDeviceGetPciInfo=lambda _: info).device_get_pci_ids(DEVICE) == (0x233010DE, 0x16C110DE)


def test_the_placements_are_sorted() -> None:
    fill = filling(pynvml.c_nvmlGpuInstancePlacement_t, placement(4, 4), placement(0, 4))
    found = calls(nvmlDeviceGetGpuInstancePossiblePlacements=fill)
    assert found.device_get_gpu_instance_possible_placements(DEVICE, 9) == (
        Placement(start=0, size=4),
        Placement(start=4, size=4),
    )


def test_an_empty_array_gives_no_instances() -> None:
    assert calls(nvmlDeviceGetGpuInstances=filling(object)).device_get_gpu_instances(DEVICE, 9) == ()


def test_the_handles_of_an_array_remain_valid_after_the_call() -> None:
    def handle(address: int) -> Any:
        return ctypes.cast(ctypes.c_void_p(address), pynvml.c_nvmlComputeInstance_t)

    fill = filling(pynvml.c_nvmlComputeInstance_t, handle(0x1000), handle(0x2000))
    found = calls(nvmlGpuInstanceGetComputeInstances=fill).gpu_instance_get_compute_instances(DEVICE, 3)
    assert [ctypes.cast(each, ctypes.c_void_p).value for each in found] == [0x1000, 0x2000]


def test_a_gpu_instance_is_created_at_its_placement() -> None:
    seen = []

    def create(device: object, profile: int, where: Any) -> str:
        raw = where._obj  # ctypes.byref has no public name for its object
        seen.append((device, profile, raw.start, raw.size))
        return "instance"

    found = calls(nvmlDeviceCreateGpuInstanceWithPlacement=create)
    assert found.device_create_gpu_instance(DEVICE, 9, Placement(start=4, size=4)) == "instance"
    assert seen == [(DEVICE, 9, 4, 4)]


def test_a_gpu_instance_profile_has_its_engines_and_memory() -> None:
    raw = pynvml.c_nvmlGpuInstanceProfileInfo_t(9, 0, 3, 2, 60, 3, 4, 5, 6, 1, 40448)
    found = calls(nvmlDeviceGetGpuInstanceProfileInfo=lambda *_: raw)
    assert found.device_get_gpu_instance_profile_info(DEVICE, 2) == InstanceProfileInfo(
        id=9,
        slices=3,
        max_count=2,
        engines=Engines(multiprocessors=60, copy=3, decoders=4, encoders=5, jpeg=6, ofa=1),
        memory_mib=40448,
    )


def test_a_compute_instance_profile_has_shared_engines() -> None:
    raw = pynvml.c_nvmlComputeInstanceProfileInfo_t(1, 2, 1, 32, 3, 4, 5, 6, 1)
    seen = []

    def query(_instance: object, *arguments: int) -> Any:
        seen.append(arguments)
        return raw

    found = calls(nvmlGpuInstanceGetComputeInstanceProfileInfo=query)
    assert found.gpu_instance_get_compute_instance_profile_info(DEVICE, 1) == InstanceProfileInfo(
        id=1,
        slices=2,
        max_count=1,
        engines=Engines(multiprocessors=32, copy=3, decoders=4, encoders=5, jpeg=6, ofa=1),
    )
    assert seen == [(1, 0, 1)]


def test_instances_have_an_id_a_profile_and_a_placement() -> None:
    raw = pynvml.c_nvmlGpuInstanceInfo_t(id=2, profileId=9, placement=placement(4, 4))
    part = pynvml.c_nvmlComputeInstanceInfo_t(id=1, profileId=0)
    part.placement.start, part.placement.size = 2, 1
    found = calls(nvmlGpuInstanceGetInfo=lambda _: raw, nvmlComputeInstanceGetInfo=lambda _: part)
    assert found.gpu_instance_get_info(DEVICE) == InstanceInfo(id=2, profile_id=9, placement=Placement(start=4, size=4))
    assert found.compute_instance_get_info(DEVICE) == InstanceInfo(
        id=1, profile_id=0, placement=Placement(start=2, size=1)
    )


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (pynvml.NVML_ERROR_IN_USE, "IN_USE"),
        (pynvml.NVML_ERROR_INSUFFICIENT_RESOURCES, "INSUFFICIENT_RESOURCES"),
        (pynvml.NVML_ERROR_NO_PERMISSION, "NO_PERMISSION"),
    ],
)
def test_a_failed_change_has_its_code(code: int, name: str) -> None:
    fails = raising(code)
    found = calls(
        nvmlDeviceCreateGpuInstanceWithPlacement=fails,
        nvmlGpuInstanceCreateComputeInstance=fails,
        nvmlGpuInstanceDestroy=fails,
        nvmlComputeInstanceDestroy=fails,
    )
    for change in (
        lambda: found.device_create_gpu_instance(DEVICE, 9, Placement(start=0, size=4)),
        lambda: found.gpu_instance_create_compute_instance(DEVICE, 0),
        lambda: found.gpu_instance_destroy(DEVICE),
        lambda: found.compute_instance_destroy(DEVICE),
    ):
        with pytest.raises(NvmlError, match=f"returned {name}"):
            change()
