"""The fields that the exporter knows, as data: names and units of DCGM, and the query of NVML that gives each. PURE.

docs/reference/gpu-metrics.md is generated from this table. Sources: DCGM API reference, field identifiers; NVML API reference.
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from gpu_core.domain.mig import MIB
from gpu_core.nvml.usage_api import ALL_LINKS, Clock, FieldId, PcieCounter
from gpu_exporter.counters_file import FieldType
from gpu_exporter.sources import FieldSum, Gpm, LinkSum, Query, Source
from node_core.values import replace

KIB, MEGABYTE = 1 << 10, 1e6
PERCENT, MILLI, NANO = 0.01, 0.001, 1e-9


class Boards(StrEnum):
    """The boards whose NVML gives a field."""

    ALL = "all"
    ECC = "boards with ECC memory"
    HBM = "boards with HBM"
    LINKED = "boards with NVLink"
    LINKED_UP_TO_HOPPER = "boards with NVLink, up to Hopper"
    AMPERE = "Ampere and newer, with ECC memory"
    UP_TO_TURING = "Volta and Turing, with ECC memory"
    HOPPER = "Hopper and newer data center boards"
    NOT_MIG = "all, not in MIG mode"
    VGPU = "vGPUs in virtual machines"


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A series of each GPU.

    number: the DCGM field id; None for a name that DCGM does not have. sources: the first one that the board supports counts. labels: of
    the series, in addition to those of the device. is_slow: read once a minute. is_default: exported without a file of counters. The file
    does not select the names of this project, which are always exported.
    """

    name: str
    number: int | None
    kind: FieldType
    unit: str
    help: str
    sources: tuple[Source, ...]
    boards: Boards = Boards.ALL
    labels: Mapping[str, str] | None = None
    is_slow: bool = False
    is_default: bool = True

    @property
    def key(self) -> str:
        """Distinguishes the series of one name."""
        return f"{self.name}{''.join((self.labels or {}).values())}"

    @property
    def of_instance(self) -> bool:
        """Whether NVML gives the field for each GPU instance. In MIG mode such a field has no series of the whole GPU."""
        return any(isinstance(each, Query | Gpm) and each.of_instance for each in self.sources)


def _values(*numbers: int, scope: int = 0, scale: float = 1) -> FieldSum:
    return FieldSum(ids=tuple(FieldId(number, scope) for number in numbers), scale=scale)


def _gauge(
    name: str, number: int, unit: str, text: str, *sources: Source, boards: Boards = Boards.ALL, is_default: bool = True
) -> Field:
    return Field(
        name=name,
        number=number,
        kind=FieldType.GAUGE,
        unit=unit,
        help=text,
        sources=sources,
        boards=boards,
        is_default=is_default,
    )


def _counter(name: str, number: int, unit: str, text: str, source: Source, boards: Boards = Boards.ALL) -> Field:
    return Field(
        name=name, number=number, kind=FieldType.COUNTER, unit=unit, help=text, sources=(source,), boards=boards
    )


def _clock(name: str, number: int, text: str, clock: Clock, *, is_default: bool = True) -> Field:
    return _gauge(
        name, number, "MHz", text, Query(method="device_get_clock_info", arguments=(clock,)), is_default=is_default
    )


def _utilization(name: str, number: int, text: str, method: str, attribute: str | None = None) -> Field:
    return _gauge(name, number, "%", text, Query(method=method, attribute=attribute), boards=Boards.NOT_MIG)


def _violation(name: str, number: int, cause: str, field: int) -> Field:
    return replace(
        _counter(name, number, "ns", f"Time in which {cause} reduced the clocks.", _values(field)), is_default=False
    )


def _memory(name: str, number: int, text: str, attribute: str, *, is_default: bool = True) -> Field:
    source = Query(method="device_get_memory_info", attribute=attribute, scale=1 / MIB, of_instance=True)
    return _gauge(name, number, "MiB", text, source, is_default=is_default)


def _errors(name: str, number: int, text: str, field: int, boards: Boards) -> Field:
    return replace(_counter(name, number, "count", text, _values(field), boards), is_slow=True)


def _flag(name: str, number: int, text: str, source: Source, boards: Boards) -> Field:
    return replace(_gauge(name, number, "0 or 1", text, source, boards=boards), is_slow=True)


def _link_errors(name: str, number: int, text: str, field: int, of_link: int | None) -> Field:
    """of_link: the field of one link, which Hopper has in place of the sum."""
    total = _errors(name, number, text, field, Boards.LINKED_UP_TO_HOPPER)
    return total if of_link is None else replace(total, sources=(*total.sources, LinkSum(number=of_link)))


def _profile(name: str, number: int, text: str, metric: int, *, is_default: bool = False) -> Field:
    source = Gpm(metric=metric, scale=PERCENT)
    return _gauge(name, number, "ratio", text, source, boards=Boards.HOPPER, is_default=is_default)


def _rate(name: str, number: int, text: str, metric: int, counter: PcieCounter | None = None) -> Field:
    """counter: for boards before Hopper; None for NVLink, for which they have no rate."""
    source = Gpm(metric=metric, scale=MIB, of_instance=False)
    if counter is None:
        return _gauge(name, number, "bytes/s", text, source, boards=Boards.HOPPER, is_default=False)
    older = Query(method="device_get_pcie_throughput", arguments=(counter,), scale=1000)
    return _gauge(name, number, "bytes/s", text, source, older)


def _throttled(reason: str, field: int) -> Field:
    return Field(
        name="gpunode_gpu_throttled_seconds_total",
        number=None,
        kind=FieldType.COUNTER,
        unit="s",
        help="Time in which this reason reduced the clocks of the GPU.",
        sources=(_values(field, scale=NANO),),
        labels={"reason": reason},
    )


def _linked_bytes(direction: str, field: int) -> Field:
    return Field(
        name="gpunode_nvlink_bytes_total",
        number=None,
        kind=FieldType.COUNTER,
        unit="bytes",
        help="Data that the GPU transmitted or received over all NVLinks, without protocol.",
        sources=(_values(field, scope=ALL_LINKS, scale=KIB),),
        labels={"direction": direction},
        boards=Boards.LINKED,
    )


FIELDS: tuple[Field, ...] = (
    _clock("DCGM_FI_DEV_SM_CLOCK", 100, "Clock of the multiprocessors.", Clock.SM),
    _clock("DCGM_FI_DEV_MEM_CLOCK", 101, "Clock of the memory.", Clock.MEMORY),
    _clock("DCGM_FI_DEV_VIDEO_CLOCK", 102, "Clock of the video engines.", Clock.VIDEO, is_default=False),
    _gauge(
        "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS", 112, "bits", "Reasons that reduce the clocks now (nvmlClocksEventReason*).",
        Query(method="device_get_clocks_event_reasons"), is_default=False,
    ),
    _gauge("DCGM_FI_DEV_MEMORY_TEMP", 140, "C", "Temperature of the memory.", _values(82), boards=Boards.HBM),
    _gauge("DCGM_FI_DEV_GPU_TEMP", 150, "C", "Temperature of the GPU.", Query(method="device_get_temperature")),
    _gauge("DCGM_FI_DEV_POWER_USAGE", 155, "W", "Power of the board.", Query(method="device_get_power_usage", scale=MILLI)),
    _counter("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", 156, "mJ", "Energy since the driver was loaded.", _values(83)),
    _counter("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", 202, "count", "Repeated transfers over PCIe.", _values(94)),
    _utilization("DCGM_FI_DEV_GPU_UTIL", 203, "Time in which a kernel ran on the GPU.", "device_get_utilization_rates", "gpu"),
    _utilization(
        "DCGM_FI_DEV_MEM_COPY_UTIL", 204, "Time in which the memory was read or written.",
        "device_get_utilization_rates", "memory",
    ),
    _utilization("DCGM_FI_DEV_ENC_UTIL", 206, "Utilization of the video encoders.", "device_get_encoder_utilization"),
    _utilization("DCGM_FI_DEV_DEC_UTIL", 207, "Utilization of the video decoders.", "device_get_decoder_utilization"),
    _violation("DCGM_FI_DEV_POWER_VIOLATION", 240, "the power limit", 74),
    _violation("DCGM_FI_DEV_THERMAL_VIOLATION", 241, "the temperature", 75),
    _violation("DCGM_FI_DEV_SYNC_BOOST_VIOLATION", 242, "sync boost", 76),
    _violation("DCGM_FI_DEV_BOARD_LIMIT_VIOLATION", 243, "a limit of the board", 77),
    _violation("DCGM_FI_DEV_LOW_UTIL_VIOLATION", 244, "low utilization", 78),
    _violation("DCGM_FI_DEV_RELIABILITY_VIOLATION", 245, "the voltage limit", 79),
    _memory("DCGM_FI_DEV_FB_TOTAL", 250, "Total memory.", "total", is_default=False),
    _memory("DCGM_FI_DEV_FB_FREE", 251, "Free memory.", "free"),
    _memory("DCGM_FI_DEV_FB_USED", 252, "Used memory.", "used"),
    _memory("DCGM_FI_DEV_FB_RESERVED", 253, "Memory that driver and firmware reserve.", "reserved"),
    _errors("DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", 310, "Corrected memory errors since the driver was loaded.", 3, Boards.ECC),
    _errors("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", 311, "Uncorrectable memory errors since the driver was loaded.", 4, Boards.ECC),
    _errors("DCGM_FI_DEV_ECC_SBE_AGG_TOTAL", 312, "Corrected memory errors in the life of the board.", 5, Boards.ECC),
    _errors("DCGM_FI_DEV_ECC_DBE_AGG_TOTAL", 313, "Uncorrectable memory errors in the life of the board.", 6, Boards.ECC),
    _errors("DCGM_FI_DEV_RETIRED_SBE", 390, "Memory pages retired after corrected errors.", 29, Boards.UP_TO_TURING),
    _errors("DCGM_FI_DEV_RETIRED_DBE", 391, "Memory pages retired after uncorrectable errors.", 30, Boards.UP_TO_TURING),
    _flag("DCGM_FI_DEV_RETIRED_PENDING", 392, "1: a page is retired at the next reset.", _values(31), Boards.UP_TO_TURING),
    _errors(
        "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", 393, "Memory rows remapped after uncorrectable errors.", 143, Boards.AMPERE
    ),
    _errors("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", 394, "Memory rows remapped after corrected errors.", 142, Boards.AMPERE),
    _flag("DCGM_FI_DEV_ROW_REMAP_FAILURE", 395, "1: the remapping of a row failed.", _values(145), Boards.AMPERE),
    _flag("DCGM_FI_DEV_ROW_REMAP_PENDING", 396, "1: a row is remapped at the next reset.", _values(144), Boards.AMPERE),
    _link_errors("DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL", 409, "Errors in flow control of all NVLinks.", 38, 163),
    _link_errors("DCGM_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL", 419, "Errors in data of all NVLinks.", 45, None),
    _link_errors("DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL", 429, "Repeated transfers over all NVLinks.", 52, 161),
    _link_errors("DCGM_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL", 439, "Recoveries of all NVLinks.", 59, 162),
    _counter(
        "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", 449, "MB", "Data transmitted and received over all NVLinks, without protocol.",
        _values(138, 139, scope=ALL_LINKS, scale=KIB / MEGABYTE), Boards.LINKED,
    ),
    _flag(
        "DCGM_FI_DEV_VGPU_LICENSE_STATUS", 526, "1: the vGPU has a license.", Query(method="device_get_vgpu_license"), Boards.VGPU
    ),
    _profile("DCGM_FI_PROF_GR_ENGINE_ACTIVE", 1001, "Time in which the compute or graphics engines ran.", 1, is_default=True),
    _profile("DCGM_FI_PROF_SM_ACTIVE", 1002, "Multiprocessors with at least one warp.", 2),
    _profile("DCGM_FI_PROF_SM_OCCUPANCY", 1003, "Warps on the multiprocessors, of the possible ones.", 3),
    _profile("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", 1004, "Time in which the tensor cores were active.", 5, is_default=True),
    _profile("DCGM_FI_PROF_DRAM_ACTIVE", 1005, "Used bandwidth of the memory.", 10, is_default=True),
    _profile("DCGM_FI_PROF_PIPE_FP64_ACTIVE", 1006, "Time in which the FP64 cores were active.", 11),
    _profile("DCGM_FI_PROF_PIPE_FP32_ACTIVE", 1007, "Time in which the FP32 cores were active.", 12),
    _profile("DCGM_FI_PROF_PIPE_FP16_ACTIVE", 1008, "Time in which the FP16 cores were active.", 13),
    _rate("DCGM_FI_PROF_PCIE_TX_BYTES", 1009, "Data that the GPU transmits over PCIe.", 20, PcieCounter.TX),
    _rate("DCGM_FI_PROF_PCIE_RX_BYTES", 1010, "Data that the GPU receives over PCIe.", 21, PcieCounter.RX),
    _rate("DCGM_FI_PROF_NVLINK_TX_BYTES", 1011, "Data that the GPU transmits over NVLink.", 61),
    _rate("DCGM_FI_PROF_NVLINK_RX_BYTES", 1012, "Data that the GPU receives over NVLink.", 60),
    _throttled("power_cap", 74),
    _throttled("sync_boost", 76),
    _throttled("thermal_software", 269),
    _throttled("thermal_hardware", 270),
    _throttled("power_brake", 271),
    _linked_bytes("transmitted", 138),
    _linked_bytes("received", 139),
)  # fmt: skip
"""The fields whose values NVML gives for each GPU, in the order of the exposition."""
