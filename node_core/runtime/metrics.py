"""Prometheus metrics, declared as data. docs/reference/metrics.md is generated from the declarations."""

from collections.abc import Mapping
from typing import Literal

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics, generate_latest


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """name: without the prefix `gpunode_`. Prometheus adds the suffix `_total` to counters."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    labels: tuple[str, ...] = ("agent",)


PASSES = Metric(
    name="passes", kind="counter", help="Passes. A pass reads the state of the node, and writes what differs."
)
PASS_SECONDS = Metric(
    name="pass_seconds", kind="gauge", help="Duration of the last pass, including the publication, in seconds."
)
COLLECTOR_FAILED = Metric(
    name="collector_failed",
    kind="gauge",
    help="1 while a source or labeler fails. The previous labels of the source or labeler are retained.",
    labels=("agent", "collector"),
)
LABELS = Metric(name="labels", kind="gauge", help="Published labels.")
LABELS_REFUSED = Metric(
    name="labels_refused", kind="gauge", help="Labels that are not published because Kubernetes would refuse them."
)
LABEL_WRITES = Metric(
    name="label_writes",
    kind="counter",
    help="Writes of labels. The counter does not increase while labels do not change.",
)
RULE_PROBLEMS = Metric(
    name="rule_problems",
    kind="gauge",
    help="Rules that cannot be evaluated, and outputs of rules that are not published, by the object or file that contains the rule.",
    labels=("agent", "rules"),
)
ERRORS = Metric(
    name="errors", kind="counter", help="Failed requests and failed passes, by check.", labels=("agent", "check")
)
NOT_READY = Metric(
    name="not_ready",
    kind="gauge",
    help="1 while this check fails. /readyz fails while a check fails.",
    labels=("check",),
)
DEVICES = Metric(
    name="devices",
    kind="gauge",
    help="Devices that the agent offers to the kubelet. gpunode_gpu_ready_reason states whether the kubelet has them.",
    labels=("agent", "resource", "health"),
)
ALLOCATIONS = Metric(
    name="allocations", kind="counter", help="Containers that received devices.", labels=("agent", "resource")
)
REGISTRATIONS = Metric(
    name="registrations",
    kind="counter",
    help="Successful registrations with the kubelet.",
    labels=("agent", "resource"),
)

REGISTRATION_FAILURES = Metric(
    name="registration_failures",
    kind="counter",
    help="Registrations that the kubelet refused, or to which the kubelet did not respond.",
    labels=("agent", "resource"),
)
XIDS = Metric(
    name="xids",
    kind="counter",
    help="Xids of a GPU, by number and by class on this node (see xids.md). The number is `other` for an Xid that is not in the catalog.",
    labels=("agent", "gpu", "xid", "kind"),
)
GPU_HEALTH = Metric(
    name="gpu_health",
    kind="gauge",
    help="1 for the current phase of a GPU or of a GPU instance. See health.md.",
    labels=("agent", "gpu", "gpu_instance", "phase"),
)
GPU_READY_REASON = Metric(
    name="gpu_ready_reason",
    kind="gauge",
    help="1 for the current reason of the Node condition GPUReady.",
    labels=("agent", "reason"),
)
MIG_CONFIG_REASON = Metric(
    name="mig_config_reason",
    kind="gauge",
    help="1 for the current reason of the Node condition MIGConfigured. See mig-manager.md.",
    labels=("agent", "reason"),
)
RUNTIME_REASON = Metric(
    name="runtime_reason",
    kind="gauge",
    help="1 for the current state of CDI in the container runtime. See runtimes.md.",
    labels=("agent", "reason"),
)
VALIDATION = Metric(
    name="validation",
    kind="gauge",
    help="1 for the current verdict of a check of gpu-validator: passed, failed, not applicable or skipped. See validate.md.",
    labels=("agent", "check", "verdict"),
)
NVML_RELEASED = Metric(
    name="nvml_released", kind="gauge", help="1 while the agent has released NVML on request. See release-gpus.md."
)
POD_DEVICES_KNOWN = Metric(
    name="pod_devices_known",
    kind="gauge",
    help="1 while the devices of the pods are known. 0: the kubelet has not responded for five minutes, and no series has a pod.",
)
LEADER = Metric(name="leader", kind="gauge", help="1 while this controller leads, and the others wait.")
DRIVER_NODES = Metric(
    name="driver_nodes",
    kind="gauge",
    help="Nodes of an NVIDIADriver, by state: ready, waiting, or excluded. See drivers.md.",
    labels=("agent", "driver", "state"),
)
LOG_LINES_LOST = Metric(name="log_lines_lost", kind="counter", help="Log lines that could not be written.", labels=())

ALL = (
    PASSES,
    PASS_SECONDS,
    COLLECTOR_FAILED,
    LABELS,
    LABELS_REFUSED,
    LABEL_WRITES,
    RULE_PROBLEMS,
    ERRORS,
    NOT_READY,
    DEVICES,
    ALLOCATIONS,
    REGISTRATIONS,
    REGISTRATION_FAILURES,
    XIDS,
    GPU_HEALTH,
    GPU_READY_REASON,
    MIG_CONFIG_REASON,
    RUNTIME_REASON,
    VALIDATION,
    NVML_RELEASED,
    POD_DEVICES_KNOWN,
    LEADER,
    DRIVER_NODES,
    LOG_LINES_LOST,
)


class Metrics:
    """The metrics of a process. The label `agent` identifies the agent."""

    def __init__(self) -> None:
        disable_created_metrics()  # omits the `_created` series of each counter
        self._registry = CollectorRegistry()
        self._replaced: dict[tuple[str, str], frozenset[tuple[str, ...]]] = {}
        self._gauges = {
            metric.name: Gauge(f"gpunode_{metric.name}", metric.help, metric.labels, registry=self._registry)
            for metric in ALL
            if metric.kind == "gauge"
        }
        self._counters = {
            metric.name: Counter(f"gpunode_{metric.name}", metric.help, metric.labels, registry=self._registry)
            for metric in ALL
            if metric.kind == "counter"
        }

    def set(self, metric: Metric, value: float, **labels: str) -> None:
        self._gauges[metric.name].labels(**labels).set(value)

    def add(self, metric: Metric, amount: float = 1, **labels: str) -> None:
        counter = self._counters[metric.name]
        (counter.labels(**labels) if metric.labels else counter).inc(amount)

    def replace(self, metric: Metric, agent: str, samples: Mapping[tuple[str, ...], int]) -> None:
        """Replaces all samples of a gauge for an agent. samples: label values, in the order of the labels -> value.

        agent: the value of the first label. A scrape during the replacement still returns the retained samples.
        """
        gauge = self._gauges[metric.name]
        for values, sample in samples.items():
            gauge.labels(*values).set(sample)
        for values in self._replaced.get((metric.name, agent), frozenset()) - samples.keys():
            gauge.remove(*values)
        self._replaced[metric.name, agent] = frozenset(samples)

    def render(self) -> bytes:
        """Renders all metrics in the Prometheus text format."""
        return generate_latest(self._registry)
