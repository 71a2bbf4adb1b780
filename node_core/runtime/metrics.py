"""Prometheus metrics, declared as data so that docs/metrics.md is generated from the same lines."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics, generate_latest


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """name: without the `gpunode_` prefix; counters get Prometheus' `_total` suffix."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    labels: tuple[str, ...] = ("agent",)


PASSES = Metric(name="passes", kind="counter", help="Looks at the node.")
PASS_SECONDS = Metric(
    name="pass_seconds", kind="gauge", help="Wall time of the last look at the node and its publication."
)
COLLECTOR_FAILED = Metric(
    name="collector_failed",
    kind="gauge",
    help="1 while a source or labeler fails; its labels stay as they were.",
    labels=("agent", "collector"),
)
LABELS = Metric(name="labels", kind="gauge", help="Labels that are published.")
LABELS_REFUSED = Metric(
    name="labels_refused", kind="gauge", help="Labels left out because Kubernetes would not take them."
)
LABEL_WRITES = Metric(
    name="label_writes", kind="counter", help="Writes of labels. It stands still while nothing changes."
)
RULE_PROBLEMS = Metric(
    name="rule_problems",
    kind="gauge",
    help="Rules that cannot be evaluated and outputs of rules that are left out, by the object or file that they stand in.",
    labels=("agent", "rules"),
)
ERRORS = Metric(
    name="errors", kind="counter", help="Failed requests and looks, by what failed.", labels=("agent", "check")
)
NOT_READY = Metric(
    name="not_ready", kind="gauge", help="1 while this check keeps /readyz from being ok.", labels=("check",)
)
DEVICES = Metric(
    name="devices", kind="gauge", help="Devices advertised to the kubelet.", labels=("agent", "resource", "health")
)
ALLOCATIONS = Metric(name="allocations", kind="counter", help="Containers given devices.", labels=("agent", "resource"))
REGISTRATIONS = Metric(
    name="registrations", kind="counter", help="Successful registrations at the kubelet.", labels=("agent", "resource")
)

REGISTRATION_FAILURES = Metric(
    name="registration_failures",
    kind="counter",
    help="Registrations that the kubelet refused or did not answer.",
    labels=("agent", "resource"),
)
XIDS = Metric(
    name="xids",
    kind="counter",
    help="Xids of a GPU, by number and by what they ask for on this node; numbers that are in no table are `other`.",
    labels=("agent", "gpu", "xid", "kind"),
)
GPU_HEALTH = Metric(
    name="gpu_health",
    kind="gauge",
    help="1 for the phase that a GPU, or one GPU instance of it, is in; see health.md.",
    labels=("agent", "gpu", "gpu_instance", "phase"),
)
VERDICT = Metric(
    name="verdict", kind="gauge", help="1 for the reason of the Node's condition GPUReady.", labels=("agent", "reason")
)
NVML_RELEASED = Metric(
    name="nvml_released", kind="gauge", help="1 while all handles of NVML are given up on request; see health.md."
)

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
    VERDICT,
    NVML_RELEASED,
)


class Metrics:
    """One registry per process; agents in one process are told apart by the `agent` label."""

    def __init__(self) -> None:
        disable_created_metrics()  # a second series per counter that nobody reads
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
        self._counters[metric.name].labels(**labels).inc(amount)

    def replace(self, metric: Metric, agent: str, samples: Mapping[tuple[str, ...], int]) -> None:
        """Makes these all the samples of a gauge that an agent has, by label values in the order of its labels.

        agent: the first of the labels. No scrape sees the gauge without them.
        """
        gauge = self._gauges[metric.name]
        for values, sample in samples.items():
            gauge.labels(*values).set(sample)
        for values in self._replaced.get((metric.name, agent), frozenset()) - samples.keys():
            gauge.remove(*values)
        self._replaced[metric.name, agent] = frozenset(samples)

    def render(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self._registry)
