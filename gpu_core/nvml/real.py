"""`Nvml`, implemented by pynvml (distribution nvidia-ml-py). Only this module imports pynvml, when NVML is opened for the first time.

pynvml retains the loaded library until the process ends. After a driver update under a running process, NVML returns
LIB_RM_VERSION_MISMATCH. This module then replaces the library in pynvml. Source: NVML API reference; nvidia-ml-py.
"""

import ctypes
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import structlog

from gpu_core.domain.inventory import Fabric, MigAttributes
from gpu_core.nvml.api import (
    FUNCTION_NOT_FOUND,
    NOT_SUPPORTED,
    GpuInstanceProfile,
    Handle,
    NvLinks,
    Nvml,
)
from gpu_core.nvml.calls import Calls
from gpu_core.nvml.driver_version import find_module_version
from gpu_core.nvml.library import load_any_library, load_library, other_libraries
from gpu_core.nvml.real_health import HealthCalls
from gpu_core.nvml.real_mig import MigCalls
from gpu_core.nvml.real_usage import UsageCalls
from gpu_core.nvml.sessions import SessionCounter
from node_core.errors import NvmlError
from node_core.host.root import HostRoot

log = structlog.get_logger(__name__)

SESSIONS = SessionCounter()
"""The NVML sessions of this process."""

FindLibraries = Callable[[ctypes.CDLL], Iterator[ctypes.CDLL]]
"""Yields the libraries other than this one."""
INIT, MISMATCH = "nvmlInit_v2", "LIB_RM_VERSION_MISMATCH"
_SUCCESS = 0
_SHARED_ENGINES = 0  # NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_SHARED, the only engine profile
_MISSING = frozenset({NOT_SUPPORTED, "INVALID_ARGUMENT"})


@contextmanager
def open_nvml(
    library: str | None = None, *, driver_root: str | None = None, library_dirs: Sequence[str] = ()
) -> Iterator[Nvml]:
    """A session from nvmlInit to nvmlShutdown. library: a path to load, without a search.

    driver_root, library_dirs: searched first, see `library`. Each session searches until one finds a library; all later sessions use that
    library.
    Entry raises NvmlError, for example LIBRARY_NOT_FOUND (the hint names the searched folders) or DRIVER_NOT_LOADED.
    """
    if library is not None:
        load_library(library)
    elif getattr(sys.modules.get("pynvml"), "nvmlLib", None) is None:
        load_any_library(driver_root, library_dirs=library_dirs)
    import pynvml  # noqa: PLC0415 - saves memory on nodes without a driver

    calls = PynvmlCalls(pynvml)
    with SESSIONS.count():
        _init(calls, pynvml, lambda current: _others(current, driver_root, library_dirs))
        try:
            yield calls
        finally:
            with suppress(NvmlError):  # the values that were read remain valid
                calls.call("nvmlShutdown")


def _others(current: ctypes.CDLL, driver_root: str | None, library_dirs: Sequence[str]) -> Iterator[ctypes.CDLL]:
    loaded = find_module_version(HostRoot())  # this process has the kernel of the host
    yield from other_libraries(current, driver_root, library_dirs=library_dirs, loaded=loaded)


def _init(calls: Calls, pynvml: Any, others: FindLibraries) -> None:
    """Initialises NVML. If the library does not match the driver and no other session is open, tries other libraries."""
    try:
        calls.call("nvmlInit", reported_as=INIT)
    except NvmlError as error:
        if error.code != MISMATCH or not SESSIONS.is_only_session or not _init_with_another(calls, pynvml, others):
            raise
        log.info("nvml_library_exchanged", version=calls.call("nvmlSystemGetDriverVersion"))


def _init_with_another(calls: Calls, pynvml: Any, others: FindLibraries) -> bool:
    """Returns whether another library matches the driver. If none does, restores the previous library, whose driver may return."""
    before = pynvml.nvmlLib
    for library in others(before):
        _use(pynvml, library)
        with suppress(NvmlError):
            calls.call("nvmlInit", reported_as=INIT)
            return True
    _use(pynvml, before)
    return False


def _use(pynvml: Any, library: ctypes.CDLL) -> None:
    with pynvml.libLoadLock:
        pynvml.nvmlLib = library
        pynvml._nvmlGetFunctionPointer_cache.clear()  # noqa: SLF001 - contains pointers to the previous library


class PynvmlCalls(HealthCalls, MigCalls, UsageCalls):
    """`Nvml`, implemented by the pynvml module."""

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

    def device_get_brand(self, device: Handle) -> int:
        return int(self.call("nvmlDeviceGetBrand", device))

    def device_get_addressing_mode(self, device: Handle) -> int:
        return int(self.call("nvmlDeviceGetAddressingMode", device))

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
        """Raises NOT_FOUND for a profile that this pynvml does not know."""
        gpu = self.call("nvmlDeviceGetGpuInstanceById", device, self.device_get_gpu_instance_id(mig_device))
        compute_id = self.device_get_compute_instance_id(mig_device)
        compute = self.call("nvmlGpuInstanceGetComputeInstanceById", gpu, compute_id)
        info = self.call("nvmlGpuInstanceGetInfo", gpu)
        return GpuInstanceProfile(
            gpu_instance_profile=self._profile_number(
                "nvmlDeviceGetGpuInstanceProfileInfo",
                self._pynvml.NVML_GPU_INSTANCE_PROFILE_COUNT,
                lambda call, number: call(device, number, 1),
                info.profileId,
            ),
            compute_instance_profile=self._profile_number(
                "nvmlGpuInstanceGetComputeInstanceProfileInfo",
                self._pynvml.NVML_COMPUTE_INSTANCE_PROFILE_COUNT,
                lambda call, number: call(gpu, number, _SHARED_ENGINES, 1),
                self.call("nvmlComputeInstanceGetInfo", compute).profileId,
            ),
            start=int(info.placement.start),
        )

    def _profile_number(
        self, function: str, count: int, query: Callable[[Callable[..., Any], int], Any], board_id: int
    ) -> int:
        """The number of the profile with a board-specific id. Queries every profile, because an instance contains only that id."""
        for number in range(count):
            try:
                info = query(lambda *arguments: self.call(function, *arguments), number)
            except NvmlError as error:
                if error.code in _MISSING:
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
        """Calls the first version of the function, or the second version if the library no longer has the first."""
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
        """The result for a link; None for a missing link or an unsupported function."""
        try:
            return self.call(function, device, link)
        except NvmlError as error:
            if error.code in _MISSING | {FUNCTION_NOT_FOUND}:
                return None
            raise


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
