"""The settings of gpu-exporter, in addition to those of every agent. Source: dcgm-exporter's command line reference."""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from gpu_exporter.counters_file import CountersFile
from gpu_exporter.counters_option import counters_option
from gpu_exporter.device_labels import LabelOptions
from gpu_exporter.pods.labels import Pattern, parse_label_pattern
from gpu_exporter.selection import Selection, select_series
from node_core.errors import SettingsError
from node_core.kubelet.podresources import SOCKET
from node_core.runtime.command import ignored_option
from node_core.runtime.http_port import parse_address
from node_core.runtime.setting import build, optional_path, setting

MIN_MILLISECONDS, MAX_MILLISECONDS = 100, 24 * 3600 * 1000
SHORTEST_WINDOW = 1000


def parse_milliseconds(text: str) -> int:
    """Parses a number of milliseconds, up to a day. Raises ValueError with the reason."""
    if not (text.isascii() and text.isdigit() and MIN_MILLISECONDS <= int(text[:12]) <= MAX_MILLISECONDS):
        raise ValueError(f"{text!r} is not a number of milliseconds from {MIN_MILLISECONDS} to {MAX_MILLISECONDS}")
    return int(text)


def parse_listen(text: str) -> str:
    """Parses an address, or an empty text. Raises ValueError."""
    if text:
        parse_address(text)
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterFlags:
    """interval, window: milliseconds. kubernetes: None to decide by the name of the Node."""

    HEADING: ClassVar = "Metrics of GPUs"

    listen: str = setting(
        "--address -a DCGM_EXPORTER_LISTEN",
        ":9400",
        "Serve /metrics and /health at this address. Empty: export no metrics of GPUs.",
        parse=parse_listen,
        metavar="HOST:PORT",
        fixed=True,
    )
    interval: int = setting(
        "--collect-interval -c DCGM_EXPORTER_INTERVAL",
        30_000,
        "Milliseconds between two readings of a GPU. Scrapes return the last reading.",
        parse=parse_milliseconds,
        metavar="MILLISECONDS",
        shown="30000",
    )
    window: int = setting(
        "--xid-count-window-size DCGM_EXPORTER_XID_COUNT_WINDOW_SIZE",
        300_000,
        "Milliseconds in which DCGM_EXP_XID_ERRORS_COUNT counts, and for which DCGM_FI_DEV_XID_ERRORS retains the Xid of a healthy GPU.",
        parse=parse_milliseconds,
        metavar="MILLISECONDS",
        shown="300000",
    )
    hostname_label: Literal["Hostname", "hostname"] = setting(
        "--hostname-label GPU_EXPORTER_HOSTNAME_LABEL",
        "Hostname",
        "Name of the label with the name of the Node. The newest versions of dcgm-exporter use hostname.",
    )
    has_no_hostname: bool = setting(
        "--no-hostname -n DCGM_EXPORTER_NO_HOSTNAME", False, "Omit the label with the name of the Node."
    )
    replaces_blanks: bool = setting(
        "--replace-blanks-in-model-name DCGM_EXPORTER_REPLACE_BLANKS_IN_MODEL_NAME",
        False,
        "Replace blanks in the label modelName by dashes.",
    )
    kubernetes: bool | None = setting(
        "--kubernetes -k DCGM_EXPORTER_KUBERNETES",
        None,
        "Export the pods that use the GPUs. Default: true if the name of the Node is set.",
        heading="Pods",
    )
    has_old_pod_names: bool = setting(
        "--use-old-namespace -o DCGM_EXPORTER_USE_OLD_NAMESPACE",
        False,
        "Name the labels of pods pod_name, pod_namespace and container_name.",
        heading="Pods",
    )
    has_pod_uid: bool = setting(
        "--kubernetes-enable-pod-uid DCGM_EXPORTER_KUBERNETES_ENABLE_POD_UID",
        False,
        "Add the label pod_uid to series of devices that one pod has alone. Reads the pods of the Node from the API server.",
        heading="Pods",
    )
    has_pod_labels: bool = setting(
        "--kubernetes-enable-pod-labels DCGM_EXPORTER_KUBERNETES_ENABLE_POD_LABELS",
        False,
        "Add the labels of pods to their series. Reads the pods of the Node from the API server.",
        heading="Pods",
    )
    has_claim_labels: bool = setting(
        "--kubernetes-enable-dra KUBERNETES_ENABLE_DRA",
        False,
        "Add the labels dra_* to series of devices that one ResourceClaim has alone. Needs no access to the API server.",
        heading="Pods",
    )
    label_patterns: tuple[str, ...] = setting(
        "--kubernetes-pod-label-allowlist-regex DCGM_EXPORTER_KUBERNETES_POD_LABEL_ALLOWLIST_REGEX",
        (),
        "Add only labels of pods whose key matches one of these regular expressions. Default: all.",
        heading="Pods",
    )
    pod_resources_socket: Path | None = setting(
        "--pod-resources-kubelet-socket DCGM_POD_RESOURCES_KUBELET_SOCKET",
        None,
        f"Pod-resources socket of the kubelet. Default: {SOCKET}.",
        parse=optional_path,
        heading="Pods",
        fixed=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterSettings(ExporterFlags):
    """selection: the exported series. patterns: compiled label_patterns."""

    selection: Selection = field(default_factory=select_series)
    patterns: tuple[Pattern, ...] = ()

    def label_options(self, node_name: str, read_hostname: Callable[[], str] = socket.gethostname) -> LabelOptions:
        return LabelOptions(
            hostname_label="" if self.has_no_hostname else self.hostname_label,
            hostname=node_name or read_hostname(),
            has_old_pod_names=self.has_old_pod_names,
            has_pod_uid=self.has_pod_uid,
            has_claims=self.has_claim_labels,
            replaces_blanks=self.replaces_blanks,
        )

    @property
    def reads_pods_of_api(self) -> bool:
        return self.has_pod_labels or self.has_pod_uid


_DCGM = "the metrics come from NVML, without DCGM"
_DETECTED = "devices are known by their ids, whatever their resource is called"

EXPORTER = (
    counters_option(),
    ExporterFlags,
    ignored_option("--remote-hostengine-info -r", "DCGM_REMOTE_HOSTENGINE_INFO", _DCGM),
    ignored_option("--enable-dcgm-log", "DCGM_EXPORTER_ENABLE_DCGM_LOG", _DCGM, may_stand_alone=True),
    ignored_option("--dcgm-log-level", "DCGM_EXPORTER_DCGM_LOG_LEVEL", _DCGM),
    ignored_option("--devices -d", "DCGM_EXPORTER_DEVICES_STR", "all GPUs and GPU instances are exported"),
    ignored_option("--switch-devices", "DCGM_EXPORTER_OTHER_DEVICES_STR", "NVML does not report NVSwitches"),
    ignored_option("--cpu-devices", "DCGM_EXPORTER_CPU_DEVICES_STR", "NVML does not report CPUs"),
    ignored_option("--kubernetes-gpu-id-type", "DCGM_EXPORTER_KUBERNETES_GPU_ID_TYPE", _DETECTED),
    ignored_option("--nvidia-resource-names", "NVIDIA_RESOURCE_NAMES", _DETECTED),
    ignored_option("--kubernetes-virtual-gpus", "KUBERNETES_VIRTUAL_GPUS", "pods of shared GPUs always have series", may_stand_alone=True),
    ignored_option("--configmap-data -m", "DCGM_EXPORTER_CONFIGMAP_DATA", "mount the ConfigMap and set --collectors"),
    ignored_option(
        "--clock-events-count-window-size",
        "DCGM_EXPORTER_CLOCK_EVENTS_COUNT_WINDOW_SIZE",
        "see gpunode_gpu_throttled_seconds_total",
    ),
    ignored_option("--hpc-job-mapping-dir", "DCGM_HPC_JOB_MAPPING_DIR", "jobs of batch systems are not exported"),
    ignored_option("--web-config-file", "DCGM_EXPORTER_WEB_CONFIG_FILE", "set --tls-cert-file and --metrics-auth"),
    ignored_option("--debug", "DCGM_EXPORTER_DEBUG", "set --log-level=debug", may_stand_alone=True),
)  # fmt: skip
"""The settings classes and options of gpu-exporter, as an own program and in `gpunode run`."""


def exporter_settings(values: Mapping[str, Any]) -> ExporterSettings:
    """Builds the settings from the values of a command line. Raises SettingsError."""
    file: CountersFile | None = values["collectors"]
    flags = build(ExporterFlags, values)
    try:
        patterns = tuple(map(parse_label_pattern, flags.label_patterns))
    except ValueError as error:
        raise SettingsError([f"--kubernetes-pod-label-allowlist-regex: {error}"]) from error
    return build(ExporterSettings, values, selection=select_series(file), patterns=patterns)
