"""What is made of pynvml's answers. The module is a copy of the real one whose calls are replaced; its types and codes are real."""

import ctypes
import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from node_core.domain.inventory import Fabric
from node_core.errors import NvmlError
from node_core.host.nvml.api import FUNCTIONS, EventType, GpuInstanceProfile, NvLinks, NvmlEvent, RemappedRows
from node_core.host.nvml.real import PynvmlCalls

CLUSTER = uuid.UUID("4f1a6d7e-93b2-4c58-8e0d-2ba71c9f5d63")


def calls(**functions: Callable[..., Any]) -> PynvmlCalls:
    return PynvmlCalls(SimpleNamespace(**{**vars(pynvml), **functions}))


def answering(code: int) -> Callable[..., Any]:
    def ask(*_: object) -> None:
        raise pynvml.NVMLError(code)

    return ask


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (pynvml.NVML_ERROR_NOT_SUPPORTED, "NOT_SUPPORTED"),
        (pynvml.NVML_ERROR_GPU_IS_LOST, "GPU_IS_LOST"),
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "DRIVER_NOT_LOADED"),
        (pynvml.NVML_ERROR_UNKNOWN, "UNKNOWN"),
        (12345, "ERROR_12345"),
    ],
)
def test_an_error_carries_the_call_and_the_name_of_its_code(value: int, code: str) -> None:
    with pytest.raises(NvmlError) as raised:
        calls(nvmlDeviceGetUUID=answering(value)).device_get_uuid(object())
    assert (raised.value.call, raised.value.code) == ("nvmlDeviceGetUUID", code)


def test_a_driver_that_was_updated_underneath_comes_with_a_hint() -> None:
    with pytest.raises(NvmlError, match="load the module that was installed"):
        calls(nvmlDeviceGetCount=answering(pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH)).device_get_count()


def test_a_function_that_the_binding_lacks_is_not_found() -> None:
    functions = {name: value for name, value in vars(pynvml).items() if name != "nvmlDeviceGetMigMode"}
    with pytest.raises(NvmlError) as raised:
        PynvmlCalls(SimpleNamespace(**functions)).device_get_mig_mode(object())
    assert raised.value.code == "FUNCTION_NOT_FOUND"


def test_every_function_that_messages_name_is_one_of_the_binding() -> None:
    assert [name for name in FUNCTIONS.values() if not callable(getattr(pynvml, name, None))] == []


def test_strings_may_come_as_bytes() -> None:
    nvml = calls(nvmlDeviceGetName=lambda _: b"Tesla T4", nvmlDeviceGetUUID=lambda _: "GPU-1")
    assert nvml.device_get_name(object()) == "Tesla T4"
    assert nvml.device_get_uuid(object()) == "GPU-1"


def test_the_bus_id_is_the_long_one() -> None:
    info = pynvml.nvmlPciInfo_t(busIdLegacy=b"0000:17:00.0", busId=b"00000000:17:00.0")
    assert calls(nvmlDeviceGetPciInfo=lambda _: info).device_get_bus_id(object()) == "00000000:17:00.0"


def test_the_mig_mode_is_the_current_one_and_not_the_pending_one() -> None:
    assert calls(nvmlDeviceGetMigMode=lambda _: [0, 1]).device_get_mig_mode(object()) is False
    assert calls(nvmlDeviceGetMigMode=lambda _: [1, 0]).device_get_mig_mode(object()) is True


def test_attributes_keep_their_units() -> None:
    raw = pynvml.c_nvmlDeviceAttributes(
        multiprocessorCount=14,
        sharedCopyEngineCount=1,
        gpuInstanceSliceCount=2,
        computeInstanceSliceCount=1,
        memorySizeMB=4864,
    )
    attributes = calls(nvmlDeviceGetAttributes=lambda _: raw).device_get_attributes(object())
    assert (attributes.memory_mib, attributes.multiprocessors) == (4864, 14)
    assert (attributes.gpu_instance_slices, attributes.compute_instance_slices) == (2, 1)
    assert (attributes.copy_engines, attributes.decoders) == (1, 0)


def board_with_profiles(gpu_instance_id: int, compute_instance_id: int) -> PynvmlCalls:
    """An A100, where a board's own id of 3g.20gb is 9 and of its 2-slice compute instance 1. Other profiles it does not have."""
    gpu_profiles = {0: 19, 1: 14, 2: 9, 7: 20}
    compute_profiles = {0: 0, 1: 1, 2: 2}

    def info(known: dict[int, int], number: int) -> SimpleNamespace:
        if number not in known:
            raise pynvml.NVMLError(
                pynvml.NVML_ERROR_NOT_SUPPORTED if number % 2 else pynvml.NVML_ERROR_INVALID_ARGUMENT
            )
        return SimpleNamespace(id=known[number])

    return calls(
        nvmlDeviceGetGpuInstanceId=lambda _: 1,
        nvmlDeviceGetComputeInstanceId=lambda _: 0,
        nvmlDeviceGetGpuInstanceById=lambda _device, _id: object(),
        nvmlGpuInstanceGetComputeInstanceById=lambda _gpu, _id: object(),
        nvmlGpuInstanceGetInfo=lambda _: SimpleNamespace(profileId=gpu_instance_id),
        nvmlComputeInstanceGetInfo=lambda _: SimpleNamespace(profileId=compute_instance_id),
        nvmlDeviceGetGpuInstanceProfileInfo=lambda _device, number, _version: info(gpu_profiles, number),
        nvmlGpuInstanceGetComputeInstanceProfileInfo=lambda _gpu, number, _engines, _version: info(
            compute_profiles, number
        ),
    )


@pytest.mark.parametrize(("ids", "numbers"), [((9, 2), (2, 2)), ((9, 1), (2, 1)), ((19, 0), (0, 0)), ((20, 0), (7, 0))])
def test_a_boards_own_profile_ids_become_nvmls_numbers(ids: tuple[int, int], numbers: tuple[int, int]) -> None:
    profile = board_with_profiles(*ids).device_get_mig_profile(object(), object())
    assert profile == GpuInstanceProfile(gpu_instance_profile=numbers[0], compute_instance_profile=numbers[1])


def test_an_instance_of_a_profile_that_is_not_listed_is_not_found() -> None:
    with pytest.raises(NvmlError) as raised:
        board_with_profiles(77, 0).device_get_mig_profile(object(), object())
    assert raised.value.code == "NOT_FOUND"


def filling(cluster: bytes = CLUSTER.bytes, state: int = 3, status: int = 0) -> Callable[..., Any]:
    def fill(_: object, pointer: Any) -> None:
        info = pointer._obj
        ctypes.memmove(info.clusterUuid, cluster, 16)
        info.state, info.status, info.cliqueId = state, status, 7

    return fill


def test_an_attached_gpu_has_its_cluster_and_clique() -> None:
    fabric = calls(nvmlDeviceGetGpuFabricInfo=filling()).device_get_fabric(object())
    assert fabric == Fabric(cluster_uuid=str(CLUSTER), clique=7)


@pytest.mark.parametrize(
    "fill",
    [filling(cluster=bytes(16)), filling(state=2), filling(status=pynvml.NVML_ERROR_UNKNOWN)],
    ids=["no cluster", "in progress", "failed"],
)
def test_a_gpu_that_is_not_fully_attached_has_no_fabric(fill: Callable[..., Any]) -> None:
    assert calls(nvmlDeviceGetGpuFabricInfo=fill).device_get_fabric(object()) is None


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_FUNCTION_NOT_FOUND, pynvml.NVML_ERROR_DEPRECATED])
def test_where_the_first_fabric_call_is_gone_its_successor_is_asked(code: int) -> None:
    nvml = calls(nvmlDeviceGetGpuFabricInfo=answering(code), nvmlDeviceGetGpuFabricInfoV=filling())
    assert nvml.device_get_fabric(object()) == Fabric(cluster_uuid=str(CLUSTER), clique=7)


def test_only_active_links_that_lead_somewhere_are_remotes() -> None:
    def state(_: object, link: int) -> int:
        if link >= 4:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        return int(link != 1)

    def remote(_: object, link: int) -> Any:
        if link == 3:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return pynvml.nvmlPciInfo_t(busId=b"00000000:0F:00.0")

    def kind(_: object, link: int) -> int:
        if link == 0:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
        return int(pynvml.NVML_NVLINK_DEVICE_TYPE_GPU)

    nvml = calls(
        nvmlDeviceGetNvLinkState=state,
        nvmlDeviceGetNvLinkRemoteDeviceType=kind,
        nvmlDeviceGetNvLinkRemotePciInfo=remote,
    )
    assert nvml.device_get_nvlinks(object()) == NvLinks(remotes=("00000000:0F:00.0",) * 2)


def test_links_to_switches_are_counted_and_not_asked_where_they_lead() -> None:
    nvml = calls(
        nvmlDeviceGetNvLinkState=lambda _, link: int(link < 3),
        nvmlDeviceGetNvLinkRemoteDeviceType=lambda _, link: pynvml.NVML_NVLINK_DEVICE_TYPE_SWITCH if link else 0,
        nvmlDeviceGetNvLinkRemotePciInfo=lambda _, link: pynvml.nvmlPciInfo_t(busId=f"{link}".encode()),
    )
    assert nvml.device_get_nvlinks(object()) == NvLinks(remotes=("0",), switched=2)


def test_a_gpu_that_is_lost_between_links_is_not_a_gpu_with_fewer_links() -> None:
    with pytest.raises(NvmlError, match="GPU_IS_LOST"):
        calls(nvmlDeviceGetNvLinkState=answering(pynvml.NVML_ERROR_GPU_IS_LOST)).device_get_nvlinks(object())


def field_value(value: int, code: int = 0) -> Callable[..., Any]:
    def ask(_: object, fields: list[int]) -> list[Any]:
        assert fields == [230]
        return [pynvml.c_nvmlFieldValue_t(nvmlReturn=code, value=pynvml.c_nvmlValue_t(uiVal=value))]

    return ask


def test_the_recovery_action_is_field_230() -> None:
    assert calls(nvmlDeviceGetFieldValues=field_value(4)).device_get_recovery_action(object()) == 4
    assert pynvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION == 230


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (pynvml.NVML_ERROR_INVALID_ARGUMENT, "NOT_SUPPORTED"),
        (pynvml.NVML_ERROR_NOT_SUPPORTED, "NOT_SUPPORTED"),
        (pynvml.NVML_ERROR_GPU_IS_LOST, "GPU_IS_LOST"),
    ],
    ids=["unknown field", "not supported", "lost"],
)
def test_a_field_has_an_error_of_its_own(value: int, code: str) -> None:
    with pytest.raises(NvmlError, match=f"nvmlDeviceGetFieldValues answered {code}"):
        calls(nvmlDeviceGetFieldValues=field_value(0, value)).device_get_recovery_action(object())


@pytest.mark.parametrize(("answer", "rows"), [((1, 2, 1, 0), (True, False)), ((0, 0, 0, 1), (False, True))])
def test_remapped_rows_are_pending_or_failed(answer: tuple[int, ...], rows: tuple[bool, bool]) -> None:
    found = calls(nvmlDeviceGetRemappedRows=lambda _: answer).device_get_remapped_rows(object())
    assert found == RemappedRows(pending=rows[0], failed=rows[1])


def test_only_uncorrected_errors_since_the_driver_was_loaded_count() -> None:
    asked: list[tuple[int, int]] = []

    def count(_: object, kind: int, since: int) -> int:
        asked.append((kind, since))
        return 7

    assert calls(nvmlDeviceGetTotalEccErrors=count).device_get_uncorrected_ecc_errors(object()) == 7
    assert asked == [(pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC)]


def test_an_older_library_has_the_clocks_reasons_by_their_first_name() -> None:
    older = calls(
        nvmlDeviceGetCurrentClocksEventReasons=answering(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND),
        nvmlDeviceGetCurrentClocksThrottleReasons=lambda _: 0x40,
    )
    assert older.device_get_clocks_event_reasons(object()) == 0x40
    lost = calls(nvmlDeviceGetCurrentClocksEventReasons=answering(pynvml.NVML_ERROR_GPU_IS_LOST))
    with pytest.raises(NvmlError, match="GPU_IS_LOST"):
        lost.device_get_clocks_event_reasons(object())


def pointer(address: int) -> Any:
    return ctypes.cast(ctypes.c_void_p(address), pynvml.c_nvmlDevice_t)


def waiting(**event: Any) -> PynvmlCalls:
    return calls(
        nvmlEventSetCreate=object,
        nvmlDeviceRegisterEvents=lambda *_: None,
        nvmlEventSetWait_v2=lambda *_: pynvml.c_nvmlEventData_t(**event),
    )


def test_an_event_names_the_handle_that_was_registered_and_its_mig_device() -> None:
    nvml = waiting(device=pointer(16), eventType=8, eventData=94, gpuInstanceId=3, computeInstanceId=0)
    events, handles = nvml.event_set_create(), [pointer(8), pointer(16)]
    for handle in handles:
        nvml.device_register_events(handle, 8, events)
    event = nvml.event_set_wait(events, 100)
    assert event == NvmlEvent(device=handles[1], type=8, data=94, gpu_instance=3, compute_instance=0)
    assert event.device is handles[1]


def test_an_event_of_a_whole_gpu_has_no_instances() -> None:
    nvml = waiting(
        device=pointer(16), eventType=8, eventData=79, gpuInstanceId=0xFFFFFFFF, computeInstanceId=0xFFFFFFFF
    )
    event = nvml.event_set_wait(nvml.event_set_create(), 100)
    assert event is not None
    assert (event.gpu_instance, event.compute_instance) == (None, None)


def test_a_wait_without_event_is_no_error() -> None:
    nvml = calls(nvmlEventSetCreate=object, nvmlEventSetWait_v2=answering(pynvml.NVML_ERROR_TIMEOUT))
    assert nvml.event_set_wait(nvml.event_set_create(), 1) is None
    broken = calls(nvmlEventSetCreate=object, nvmlEventSetWait_v2=answering(pynvml.NVML_ERROR_UNKNOWN))
    with pytest.raises(NvmlError, match="nvmlEventSetWait_v2 answered UNKNOWN"):
        broken.event_set_wait(broken.event_set_create(), 1)


def test_the_kinds_of_events_are_nvmls() -> None:
    names = {
        "SINGLE_BIT_ECC": "nvmlEventTypeSingleBitEccError",
        "DOUBLE_BIT_ECC": "nvmlEventTypeDoubleBitEccError",
        "XID": "nvmlEventTypeXidCriticalError",
        "MIG_CONFIG": "nvmlEventMigConfigChange",
        "GPU_UNAVAILABLE": "nvmlEventTypeGpuUnavailableError",
        "RECOVERY_ACTION": "nvmlEventTypeGpuRecoveryAction",
    }
    assert {each.name: int(each) for each in EventType} == {name: getattr(pynvml, its) for name, its in names.items()}
