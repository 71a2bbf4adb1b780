"""NVML itself, through pynvml (distribution nvidia-ml-py). The only importer of pynvml, and not before NVML is opened.

pynvml keeps the library for the life of the process. After a driver update under a running process NVML answers
LIB_RM_VERSION_MISMATCH; then pynvml is given the new driver's library. Source: NVML API reference; nvidia-ml-py.
"""

import ctypes
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import structlog

from node_core.domain.inventory import Fabric, MigAttributes
from node_core.errors import NvmlError
from node_core.host.nvml.api import (
    FUNCTION_NOT_FOUND,
    NOT_SUPPORTED,
    GpuInstanceProfile,
    Handle,
    NvLinks,
    Nvml,
)
from node_core.host.nvml.library import load_any_library, load_library, other_libraries
from node_core.host.nvml.real_health import HealthCalls
from node_core.host.nvml.sessions import Sessions

log = structlog.get_logger(__name__)

SESSIONS = Sessions()
"""Of this process, as NVML counts them."""

INIT, MISMATCH = "nvmlInit_v2", "LIB_RM_VERSION_MISMATCH"
_SUCCESS = 0
_SHARED_ENGINES = 0  # NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_SHARED, the only engine profile there is
_NO_SUCH = frozenset({NOT_SUPPORTED, "INVALID_ARGUMENT"})
_NOT_SAID = _NO_SUCH | {FUNCTION_NOT_FOUND}


def open_nvml(library: str | None = None, *, driver_root: str | None = None) -> AbstractContextManager[Nvml]:
    """A session from nvmlInit to nvmlShutdown. library: a path to load instead of searching.

    driver_root: where the search begins, see `library`; it is looked below anew until a library is there. The first session of a process
    chooses the library for all. Entry raises NvmlError, e.g. LIBRARY_NOT_FOUND (its hint says where it looked) or DRIVER_NOT_LOADED.
    """
    return _session(library, driver_root)


@contextmanager
def _session(library: str | None, driver_root: str | None) -> Iterator[Nvml]:
    if library is not None:
        load_library(library)
    elif getattr(sys.modules.get("pynvml"), "nvmlLib", None) is None:
        load_any_library(driver_root)
    import pynvml  # noqa: PLC0415 - a node without a driver need not pay for it

    calls = PynvmlCalls(pynvml)
    with SESSIONS.one():
        _init(calls, pynvml, driver_root)
        try:
            yield calls
        finally:
            with suppress(NvmlError):  # what was read stays true when the library cannot close
                calls.call("nvmlShutdown")


def _init(calls: HealthCalls, pynvml: Any, driver_root: str | None) -> None:
    """With another library where that of before does not fit the driver any more, as long as no other session needs that."""
    try:
        calls.call("nvmlInit", reported_as=INIT)
    except NvmlError as error:
        if error.code != MISMATCH or not SESSIONS.is_one or not _init_with_another(calls, pynvml, driver_root):
            raise
        log.info("nvml_library_exchanged", version=calls.call("nvmlSystemGetDriverVersion"))


def _init_with_another(calls: HealthCalls, pynvml: Any, driver_root: str | None) -> bool:
    """Whether one of the others fits. Where none does, pynvml has the one of before again: its driver may come back."""
    before = pynvml.nvmlLib
    for library in other_libraries(before, driver_root):
        _use(pynvml, library)
        with suppress(NvmlError):
            calls.call("nvmlInit", reported_as=INIT)
            return True
    _use(pynvml, before)
    return False


def _use(pynvml: Any, library: ctypes.CDLL) -> None:
    with pynvml.libLoadLock:
        pynvml.nvmlLib = library
        pynvml._nvmlGetFunctionPointer_cache.clear()  # noqa: SLF001 - it has those of the library of before


class PynvmlCalls(HealthCalls):
    """`Nvml` on the pynvml module."""

    def system_get_driver_version(self) -> str:
        return _text(self.call("nvmlSystemGetDriverVersion"))

    def system_get_cuda_driver_version(self) -> int:
        return int(self.call("nvmlSystemGetCudaDriverVersion"))

    def device_get_count(self) -> int:
        return int(self.call("nvmlDeviceGetCount"))

    def device_get_handle_by_index(self, index: int) -> Handle:
        return self.call("nvmlDeviceGetHandleByIndex", index)

    def device_get_uuid(self, device: Handle) -> str:
        return _text(self.call("nvmlDeviceGetUUID", device))

    def device_get_name(self, device: Handle) -> str:
        return _text(self.call("nvmlDeviceGetName", device))

    def device_get_minor_number(self, device: Handle) -> int:
        return int(self.call("nvmlDeviceGetMinorNumber", device))

    def device_get_bus_id(self, device: Handle) -> str:
        return _text(self.call("nvmlDeviceGetPciInfo", device).busId)

    def device_get_memory_total(self, device: Handle) -> int:
        return int(self.call("nvmlDeviceGetMemoryInfo", device).total)

    def device_get_cuda_compute_capability(self, device: Handle) -> tuple[int, int]:
        major, minor = self.call("nvmlDeviceGetCudaComputeCapability", device)
        return int(major), int(minor)

    def device_get_mig_mode(self, device: Handle) -> bool:
        current, _pending = self.call("nvmlDeviceGetMigMode", device)
        return bool(current)

    def device_get_max_mig_device_count(self, device: Handle) -> int:
        return int(self.call("nvmlDeviceGetMaxMigDeviceCount", device))

    def device_get_mig_device_handle_by_index(self, device: Handle, slot: int) -> Handle:
        return self.call("nvmlDeviceGetMigDeviceHandleByIndex", device, slot)

    def device_get_gpu_instance_id(self, mig_device: Handle) -> int:
        return int(self.call("nvmlDeviceGetGpuInstanceId", mig_device))

    def device_get_compute_instance_id(self, mig_device: Handle) -> int:
        return int(self.call("nvmlDeviceGetComputeInstanceId", mig_device))

    def device_get_attributes(self, mig_device: Handle) -> MigAttributes:
        raw = self.call("nvmlDeviceGetAttributes", mig_device)
        return MigAttributes(
            memory_mib=raw.memorySizeMB,
            multiprocessors=raw.multiprocessorCount,
            gpu_instance_slices=raw.gpuInstanceSliceCount,
            compute_instance_slices=raw.computeInstanceSliceCount,
            copy_engines=raw.sharedCopyEngineCount,
            decoders=raw.sharedDecoderCount,
            encoders=raw.sharedEncoderCount,
            jpeg_engines=raw.sharedJpegCount,
            ofa_engines=raw.sharedOfaCount,
        )

    def device_get_mig_profile(self, device: Handle, mig_device: Handle) -> GpuInstanceProfile:
        """NOT_FOUND where an instance was made from a profile that this pynvml has no number for."""
        gpu = self.call("nvmlDeviceGetGpuInstanceById", device, self.device_get_gpu_instance_id(mig_device))
        compute_id = self.device_get_compute_instance_id(mig_device)
        compute = self.call("nvmlGpuInstanceGetComputeInstanceById", gpu, compute_id)
        return GpuInstanceProfile(
            gpu_instance_profile=self._profile_number(
                "nvmlDeviceGetGpuInstanceProfileInfo",
                self._pynvml.NVML_GPU_INSTANCE_PROFILE_COUNT,
                lambda ask, number: ask(device, number, 1),
                self.call("nvmlGpuInstanceGetInfo", gpu).profileId,
            ),
            compute_instance_profile=self._profile_number(
                "nvmlGpuInstanceGetComputeInstanceProfileInfo",
                self._pynvml.NVML_COMPUTE_INSTANCE_PROFILE_COUNT,
                lambda ask, number: ask(gpu, number, _SHARED_ENGINES, 1),
                self.call("nvmlComputeInstanceGetInfo", compute).profileId,
            ),
        )

    def _profile_number(
        self, function: str, count: int, ask: Callable[[Callable[..., Any], int], Any], board_id: int
    ) -> int:
        """The profile's number in NVML's list. An instance names its profile by the board's own id, so all are asked for theirs."""
        for number in range(count):
            try:
                info = ask(lambda *arguments: self.call(function, *arguments), number)
            except NvmlError as error:
                if error.code in _NO_SUCH:
                    continue
                raise
            if info.id == board_id:
                return number
        raise NvmlError(function, "NOT_FOUND", hint=f"no profile has the id {board_id}")

    def device_get_fabric(self, device: Handle) -> Fabric | None:
        info = self._fabric_info(device)
        cluster = bytes(info.clusterUuid)
        if info.state != self._pynvml.NVML_GPU_FABRIC_STATE_COMPLETED or info.status != _SUCCESS or not any(cluster):
            return None
        return Fabric(cluster_uuid=str(uuid.UUID(bytes=cluster)), clique=int(info.cliqueId))

    def _fabric_info(self, device: Handle) -> Any:
        """The first form of the call, or its successor where the library has dropped the first."""
        first = self._pynvml.c_nvmlGpuFabricInfo_t()
        try:
            self.call("nvmlDeviceGetGpuFabricInfo", device, ctypes.byref(first))
        except NvmlError as error:
            if error.code not in (FUNCTION_NOT_FOUND, "DEPRECATED"):
                raise
        else:
            return first
        second = self._pynvml.c_nvmlGpuFabricInfo_v2_t()
        self.call("nvmlDeviceGetGpuFabricInfoV", device, ctypes.byref(second))
        return second

    def device_get_nvlinks(self, device: Handle) -> NvLinks:
        links = range(self._pynvml.NVML_NVLINK_MAX_LINKS)
        active = [link for link in links if self._of_link("nvmlDeviceGetNvLinkState", device, link)]
        switched = {link for link in active if self._is_switched(device, link)}
        ends = (
            self._of_link("nvmlDeviceGetNvLinkRemotePciInfo", device, link) for link in active if link not in switched
        )
        return NvLinks(remotes=tuple(_text(end.busId) for end in ends if end is not None), switched=len(switched))

    def device_get_topology_common_ancestor(self, device: Handle, other: Handle) -> int:
        return int(self.call("nvmlDeviceGetTopologyCommonAncestor", device, other))

    def _is_switched(self, device: Handle, link: int) -> bool:
        return bool(
            self._of_link("nvmlDeviceGetNvLinkRemoteDeviceType", device, link)
            == self._pynvml.NVML_NVLINK_DEVICE_TYPE_SWITCH
        )

    def _of_link(self, function: str, device: Handle, link: int) -> Any:
        """None for a link that this board does not have, and for what the driver does not say of one."""
        try:
            return self.call(function, device, link)
        except NvmlError as error:
            if error.code in _NOT_SAID:
                return None
            raise


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
