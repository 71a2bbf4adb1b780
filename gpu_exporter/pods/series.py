"""The series about pods: who has which device, and what each pod uses of it. PURE.

The series of devices have no labels of pods if pods share the device. `gpunode_pod_gpu_info` joins them with the pods.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from gpu_core.pods.device_names import DeviceKey
from gpu_core.pods.holders import Holder, Holders
from gpu_exporter.pods.usage import PodUsage

Labels = tuple[tuple[str, str], ...]
"""Names and values, in the order of the output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodFamily:
    """A gauge with labels of the device, then pod, namespace, container and pod_uid."""

    name: str
    help: str


INFO = PodFamily(
    name="gpunode_pod_gpu_info",
    help="1 for each container that has the GPU or the MIG device, also if others share it. Has the allowed labels of the pod.",
)
MEMORY = PodFamily(
    name="gpunode_pod_gpu_memory_used_bytes",
    help="GPU memory of the processes of a container. The sum over the pods is at most the used memory of the device.",
)
SM = PodFamily(
    name="gpunode_pod_gpu_sm_utilization_ratio",
    help="Use of the multiprocessors by the processes of a container, from 0 to 1. The sum over the pods is at most that of the device.",
)
FAMILIES = (INFO, MEMORY, SM)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSample:
    """One sample of a family."""

    family: PodFamily
    labels: Labels
    value: float


def pod_samples(
    holders: Holders, usages: Iterable[PodUsage], devices: Mapping[DeviceKey, Labels]
) -> tuple[PodSample, ...]:
    """Returns all samples, sorted by family. devices: the labels of each GPU and GPU instance that has series.

    A pod that is known by its UID alone has empty names. A device without labels has no series.
    """
    listed = tuple(usages)
    return (
        *_info(holders, devices),
        *_usage(MEMORY, ((each, each.memory_bytes) for each in listed), devices),
        *_usage(SM, ((each, each.sm_ratio) for each in listed), devices),
    )


def _info(holders: Holders, devices: Mapping[DeviceKey, Labels]) -> Iterator[PodSample]:
    for key, labels in devices.items():
        for holder in holders.of_device(*key):
            every = (*labels, *render_pod(holder), *holder.labels.items())
            yield PodSample(family=INFO, labels=every, value=1)


def _usage(
    family: PodFamily, values: Iterable[tuple[PodUsage, float | None]], devices: Mapping[DeviceKey, Labels]
) -> Iterator[PodSample]:
    for usage, value in values:
        labels = devices.get(DeviceKey(usage.gpu, usage.gpu_instance))
        if labels is not None and value is not None:
            yield PodSample(family=family, labels=(*labels, *render_pod(usage.holder)), value=value)


def render_pod(holder: Holder) -> Labels:
    """Returns the labels of a pod in the series of this module. pod_uid separates pods of one name, and pods without a known name."""
    return (
        ("pod", holder.pod),
        ("namespace", holder.namespace),
        ("container", holder.container),
        ("pod_uid", holder.pod_uid),
    )
