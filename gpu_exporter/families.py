"""The series that the exporter computes itself, as data. The values of `fields` come from NVML directly. PURE."""

from dataclasses import dataclass

from gpu_exporter.counters_file import FieldType


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """number: the DCGM field id, or None. labels: in addition to those of the device. is_default: as for `fields.Field`."""

    name: str
    kind: FieldType
    help: str
    number: int | None = None
    labels: tuple[str, ...] = ()
    is_default: bool = True


DRIVER_VERSION = Family(
    name="DCGM_FI_DRIVER_VERSION", number=1, kind=FieldType.LABEL, help="Version of the NVIDIA driver."
)
XID_ERRORS = Family(
    name="DCGM_FI_DEV_XID_ERRORS",
    number=230,
    kind=FieldType.GAUGE,
    help="Last Xid; 0 when the GPU is healthy again.",
    labels=("err_code", "err_msg"),
)
XID_COUNT = Family(
    name="DCGM_EXP_XID_ERRORS_COUNT",
    kind=FieldType.GAUGE,
    help="Xids within the window, by code.",
    labels=("window_size_in_ms", "xid"),
)
SELECTABLE = (DRIVER_VERSION, XID_ERRORS, XID_COUNT)
"""The file of counters can select these, as the fields."""

XIDS = Family(
    name="gpunode_gpu_xids_total",
    kind=FieldType.COUNTER,
    help="Xids since the agent started, by code and by class in the table of Xids.",
    labels=("xid", "kind"),
)
GPU_UP = Family(
    name="gpunode_gpu_up",
    kind=FieldType.GAUGE,
    help="1 if the GPU can be read. 0 if it is lost, its driver hangs or NVML fails; it then has no values of NVML.",
)
QUERY_ERRORS = Family(
    name="gpunode_gpu_query_errors_total",
    kind=FieldType.COUNTER,
    help="Failed queries of the GPU by NVML function and error code, without unsupported ones.",
    labels=("call", "code"),
)
LAST_READING = Family(
    name="gpunode_gpu_last_reading_timestamp_seconds",
    kind=FieldType.GAUGE,
    help="When the values of the GPU were read, in Unix time.",
)
MIG_INFO = Family(
    name="gpunode_mig_device_info",
    kind=FieldType.GAUGE,
    help="1 for each MIG device, with its UUID.",
    labels=("mig_uuid", "compute_instance"),
)
EXPORTER_INFO = Family(
    name="gpunode_gpu_exporter_info",
    kind=FieldType.GAUGE,
    help="1. simulated: whether the GPUs are those of a scenario, and do not exist.",
    labels=("version", "driver_version", "simulated"),
)
OWN = (GPU_UP, QUERY_ERRORS, LAST_READING, XIDS, MIG_INFO, EXPORTER_INFO)
"""These are always exported."""
