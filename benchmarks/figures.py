"""The numbers that `make bench` measures, each with its unit and its goal, and the samples of one run. PURE."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Samples = Mapping[str, Sequence[float]]
"""Key of a number -> the measured values, in the unit of the number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One row of the table. goal: the maximum; None for a number without a goal.

    worst: the goal is for the 99th percentile, not the median.
    """

    key: str
    title: str
    unit: str
    goal: float | None = None
    worst: bool = False


SECTIONS: Mapping[str, Sequence[Number]] = {
    "Memory (PSS) at rest": (
        Number(key="pss nfd-lite", title="`nfd-lite`", unit="MiB", goal=36),
        Number(key="pss gfd", title="`gfd`", unit="MiB", goal=38),
        Number(key="pss gpu-device-plugin", title="`gpu-device-plugin`", unit="MiB", goal=46),
        Number(key="pss the three", title="the three together", unit="MiB", goal=120),
        Number(key="pss gpunode run", title="`gpunode run`, the three in one process", unit="MiB", goal=58),
        Number(key="pss gpu-exporter", title="`gpu-exporter`, 56 MIG devices and pods", unit="MiB", goal=45),
        Number(key="pss gpu-validator", title="`gpu-validator`", unit="MiB"),
        Number(key="pss gpu-operator", title="`gpu-operator`, 100 Nodes", unit="MiB"),
    ),
    "At rest": (
        Number(key="cpu gpunode run", title="CPU time of `gpunode run`", unit="ms/s", goal=0.8),
        Number(key="wakeups gpunode run", title="wake-ups of `gpunode run`", unit="1/s", goal=8),
        Number(key="cpu gpu-device-plugin", title="CPU time of `gpu-device-plugin`", unit="ms/s"),
        Number(key="wakeups gpu-device-plugin", title="wake-ups of `gpu-device-plugin`", unit="1/s"),
        Number(key="nfd-lite pass", title="CPU time of a pass of `nfd-lite` after the first", unit="ms", goal=10),
        Number(key="gfd pass", title="CPU time of a pass of `gfd` after the first", unit="ms", goal=5),
        Number(key="writes", title="writes to the API in an hour", unit="", goal=0, worst=True),
        Number(
            key="reads", title="reads of the API in an hour that do not continue a watch", unit="", goal=0, worst=True
        ),
        Number(key="renewals", title="watches that continue in an hour", unit=""),
        Number(key="bytes", title="bytes of the Node that are not labels", unit="B", goal=4096, worst=True),
        Number(key="bytes names", title="of these, names of labels in `managedFields`", unit="B"),
        Number(key="bytes fields", title="of these, the rest of `managedFields`", unit="B"),
        Number(key="bytes annotations", title="of these, annotations", unit="B"),
        Number(key="bytes condition", title="of these, the condition `GPUReady`", unit="B"),
    ),
    "Start": (
        Number(
            key="register gpu-device-plugin", title="`gpu-device-plugin`: process start to Register", unit="s", goal=0.3
        ),
        Number(key="register gpunode run", title="`gpunode run`: process start to Register", unit="s", goal=0.4),
        Number(key="label nfd-lite", title="`nfd-lite`: process start to the labels on the Node", unit="s", goal=0.6),
        Number(key="label gfd", title="`gfd`: process start to the labels on the Node", unit="s", goal=0.6),
        Number(
            key="label gpunode run", title="`gpunode run`: process start to the labels on the Node", unit="s", goal=0.6
        ),
        Number(
            key="start gpu-validator", title="`gpu-validator`: process start to the condition on the Node", unit="s"
        ),
        Number(key="start gpu-operator", title="`gpu-operator`: process start to the DaemonSet of drivers", unit="s"),
        Number(key="oneshot gfd", title="`gfd --oneshot`", unit="ms", goal=150),
        Number(key="oneshot nfd-lite", title="`nfd-lite --oneshot`", unit="ms", goal=150),
    ),
    "Calls of the kubelet": (
        Number(key="allocate p50", title="Allocate, median", unit="ms", goal=0.25),
        Number(key="allocate p99", title="Allocate, 99th percentile", unit="ms", goal=0.5),
        Number(key="preferred 4 of 8", title="preferred allocation of 4 of 8 GPUs", unit="ms", goal=0.5),
        Number(key="preferred 8 of 16", title="preferred allocation of 8 of 16 GPUs", unit="ms", goal=1.5),
        Number(key="preferred 400 of 800", title="preferred allocation of 400 of 800 replicas", unit="ms", goal=0.7),
    ),
    "Seconds until the devices are registered again": (
        Number(key="recovery kubelet restart", title="the kubelet restarted", unit="s", goal=1),
        Number(key="recovery socket deleted", title="the socket of the plugin was deleted", unit="s", goal=1),
        Number(key="recovery agent killed", title="the plugin was killed and started", unit="s", goal=1),
    ),
    "Seconds from a change until it is reported": (
        Number(key="Xid kubelet", title="an Xid: kubelet", unit="s", goal=0.5, worst=True),
        Number(key="Xid Node", title="an Xid: Node", unit="s", goal=0.5, worst=True),
        Number(key="MIG kubelet", title="new MIG devices: kubelet", unit="s", goal=0.5, worst=True),
        Number(key="MIG Node", title="new MIG devices: Node", unit="s", goal=0.5, worst=True),
        Number(key="gate kubelet", title="the label `nvidia.com/gpu.present`: kubelet", unit="s", goal=0.5, worst=True),
        Number(key="uevent kubelet", title="a GPU is removed or added: kubelet", unit="s", goal=0.5, worst=True),
        Number(key="uevent Node", title="a GPU is removed or added: Node", unit="s", goal=0.5, worst=True),
    ),
}
NUMBERS: Mapping[str, Number] = {number.key: number for numbers in SECTIONS.values() for number in numbers}


def is_met(number: Number, values: Sequence[float]) -> bool | None:
    """Returns None without a goal. A number with `worst` is compared at its 99th percentile."""
    if number.goal is None or not values:
        return None
    return (percentile(values, 0.99) if number.worst else statistics.median(values)) <= number.goal


def percentile(values: Sequence[float], share: float) -> float:
    """Returns the smallest value that at least this share of the values does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def round_value(value: float) -> str:
    """Returns a value with three digits, at most three of them after the point."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def spread(values: Sequence[float]) -> str:
    """Returns the median with minimum and maximum."""
    low, middle, high = (round_value(each) for each in (min(values), statistics.median(values), max(values)))
    return middle if low == high else f"{middle} ({low} to {high})"
