"""The series that the exporter computes itself, as data. The values of `fields` come from NVML directly. PURE."""

import msgspec

from gpu_exporter.counters_file import FieldType


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """number: the DCGM field id, or None. labels: in addition to those of the device."""

    name: str
    help: str
    kind: FieldType = FieldType.GAUGE
    number: int | None = None
    labels: tuple[str, ...] = ()


DRIVER_VERSION = Family(
    name="DCGM_FI_DRIVER_VERSION", number=1, kind=FieldType.LABEL, help="Version of the NVIDIA driver."
)
XID_ERRORS = Family(
    name="DCGM_FI_DEV_XID_ERRORS",
    number=230,
    help="Last Xid; 0 when the GPU is healthy again.",
    labels=("err_code", "err_msg"),
)
XID_COUNT = Family(
    name="DCGM_EXP_XID_ERRORS_COUNT",
    help="Xids within the window, by code.",
    labels=("window_size_in_ms", "xid"),
)
SELECTABLE = (DRIVER_VERSION, XID_ERRORS, XID_COUNT)
"""The file of counters can select these, as the fields. Without a file they are exported."""

GPU_UP = Family(
    name="gpunode_gpu_up",
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
    help="When the values of the GPU were read, in Unix time.",
)
XIDS = Family(
    name="gpunode_gpu_xids_total",
    kind=FieldType.COUNTER,
    help="Xids since the agent started, by code and by class in the table of Xids.",
    labels=("xid", "kind"),
)
MIG_INFO = Family(
    name="gpunode_mig_device_info",
    help="1 for each MIG device, with its UUID.",
    labels=("mig_uuid", "compute_instance"),
)
EXPORTER_INFO = Family(
    name="gpunode_gpu_exporter_info",
    help="1. simulated: whether the GPUs are those of a scenario, and do not exist.",
    labels=("version", "driver_version", "simulated"),
)
OWN = (GPU_UP, QUERY_ERRORS, LAST_READING, XIDS, MIG_INFO, EXPORTER_INFO)
"""These are always exported."""

_POD_LABELS = ("pod", "namespace", "container", "pod_uid")
POD_INFO = Family(
    name="gpunode_pod_gpu_info",
    help="1 for each container that has the GPU or the MIG device, also if others share it. Has the allowed labels of the pod.",
    labels=_POD_LABELS,
)
POD_MEMORY = Family(
    name="gpunode_pod_gpu_memory_used_bytes",
    help="GPU memory of the processes of a container. The sum over the pods is at most the used memory of the device.",
    labels=_POD_LABELS,
)
POD_SM = Family(
    name="gpunode_pod_gpu_sm_utilization_ratio",
    help="Use of the multiprocessors by the processes of a container, from 0 to 1. The sum over the pods is at most that of the device.",
    labels=_POD_LABELS,
)
OF_PODS = (POD_INFO, POD_MEMORY, POD_SM)
"""These are exported while the pods are known."""
