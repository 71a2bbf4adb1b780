"""The values that PynvmlCalls reads from the results of pynvml."""

import ctypes
import uuid
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest
from structlog.testing import capture_logs

from gpu_core.domain.inventory import Fabric
from gpu_core.nvml.api import GpuInstanceProfile, NvLinks
from gpu_core.nvml.real import PynvmlCalls, _init, open_nvml
from node_core.errors import NvmlError
from tests.gpu_core.nvml.fake_pynvml import calls, raising

CLUSTER = uuid.UUID("4f1a6d7e-93b2-4c58-8e0d-2ba71c9f5d63")


def test_strings_may_be_bytes() -> None:
    nvml = calls(nvmlDeviceGetName=lambda _: b"Tesla T4", nvmlDeviceGetUUID=lambda _: "GPU-1")
    assert nvml.device_get_name(object()) == "Tesla T4"
    assert nvml.device_get_uuid(object()) == "GPU-1"


def test_the_bus_id_has_eight_domain_digits() -> None:
    info = pynvml.nvmlPciInfo_t(busIdLegacy=b"0000:17:00.0", busId=b"00000000:17:00.0")
    assert calls(nvmlDeviceGetPciInfo=lambda _: info).device_get_bus_id(object()) == "00000000:17:00.0"


def test_the_mig_mode_is_the_current_one() -> None:
    assert calls(nvmlDeviceGetMigMode=lambda _: [0, 1]).device_get_mig_mode(object()) is False
    assert calls(nvmlDeviceGetMigMode=lambda _: [1, 0]).device_get_mig_mode(object()) is True


def test_attributes_retain_their_units() -> None:
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
    """An A100, whose board-specific ids are 9 for 3g.20gb and 1 for its 2-slice compute instance. Other profiles are not supported."""
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
        nvmlGpuInstanceGetInfo=lambda _: SimpleNamespace(
            profileId=gpu_instance_id, placement=SimpleNamespace(start=4, size=4)
        ),
        nvmlComputeInstanceGetInfo=lambda _: SimpleNamespace(profileId=compute_instance_id),
        nvmlDeviceGetGpuInstanceProfileInfo=lambda _device, number, _version: info(gpu_profiles, number),
        nvmlGpuInstanceGetComputeInstanceProfileInfo=lambda _gpu, number, _engines, _version: info(
            compute_profiles, number
        ),
    )


@pytest.mark.parametrize(("ids", "numbers"), [((9, 2), (2, 2)), ((9, 1), (2, 1)), ((19, 0), (0, 0)), ((20, 0), (7, 0))])
def test_board_specific_profile_ids_are_translated_to_nvml_numbers(
    ids: tuple[int, int], numbers: tuple[int, int]
) -> None:
    profile = board_with_profiles(*ids).device_get_mig_profile(object(), object())
    assert profile == GpuInstanceProfile(gpu_instance_profile=numbers[0], compute_instance_profile=numbers[1], start=4)


def test_an_instance_of_an_unknown_profile_is_not_found() -> None:
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
def test_without_the_first_fabric_function_the_second_is_called(code: int) -> None:
    nvml = calls(nvmlDeviceGetGpuFabricInfo=raising(code), nvmlDeviceGetGpuFabricInfoV=filling())
    assert nvml.device_get_fabric(object()) == Fabric(cluster_uuid=str(CLUSTER), clique=7)


def test_only_active_links_with_a_remote_are_reported() -> None:
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


def test_links_to_switches_are_counted_without_their_remote() -> None:
    nvml = calls(
        nvmlDeviceGetNvLinkState=lambda _, link: int(link < 3),
        nvmlDeviceGetNvLinkRemoteDeviceType=lambda _, link: pynvml.NVML_NVLINK_DEVICE_TYPE_SWITCH if link else 0,
        nvmlDeviceGetNvLinkRemotePciInfo=lambda _, link: pynvml.nvmlPciInfo_t(busId=f"{link}".encode()),
    )
    assert nvml.device_get_nvlinks(object()) == NvLinks(remotes=("0",), switched=2)


def test_a_gpu_that_is_lost_between_two_links_is_an_error() -> None:
    with pytest.raises(NvmlError, match="GPU_IS_LOST"):
        calls(nvmlDeviceGetNvLinkState=raising(pynvml.NVML_ERROR_GPU_IS_LOST)).device_get_nvlinks(object())


def test_the_library_is_searched_below_the_driver_root(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[object] = []

    def search(driver_root: str | None, library_dirs: Sequence[str]) -> None:
        searched.append((driver_root, library_dirs))
        raise NvmlError("nvmlInit", "LIBRARY_NOT_FOUND")

    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr("gpu_core.nvml.real.load_any_library", search)
    with pytest.raises(NvmlError), open_nvml(driver_root="/driver-root", library_dirs=["/opt/lib"]):
        pass
    assert searched == [("/driver-root", ["/opt/lib"])]


@pytest.mark.parametrize(
    ("code", "is_only", "is_found", "error"),
    [
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, True, True, None),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, True, False, "LIB_RM_VERSION_MISMATCH"),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, False, True, "LIB_RM_VERSION_MISMATCH"),
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, True, True, "DRIVER_NOT_LOADED"),
    ],
    ids=["found", "none-matches", "another-session", "another-error"],
)
def test_another_library_is_tried_only_for_a_mismatch_in_the_only_session(
    monkeypatch: pytest.MonkeyPatch, code: int, is_only: bool, is_found: bool, error: str | None
) -> None:
    monkeypatch.setattr("gpu_core.nvml.real.SESSIONS", SimpleNamespace(is_only_session=is_only))
    monkeypatch.setattr("gpu_core.nvml.real._init_with_another", lambda *_: is_found)
    nvml = calls(nvmlInit=raising(code), nvmlSystemGetDriverVersion=lambda: "580.1")
    with capture_logs() as logs:
        if error is None:
            _init(nvml, pynvml, lambda _: iter(()))
        else:
            with pytest.raises(NvmlError) as raised:
                _init(nvml, pynvml, lambda _: iter(()))
            assert raised.value.code == error
    assert [line["version"] for line in logs if line["log_level"] != "debug"] == ([] if error else ["580.1"])
