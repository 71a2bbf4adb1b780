"""The series about pods: the devices of each pod, and the use of each device by a pod. PURE.

The series of devices have no labels of pods if pods share the device. `gpunode_pod_gpu_info` joins them with the pods.
"""

from collections.abc import Iterable, Iterator, Mapping

from gpu_core.pods.device_names import DeviceKey
from gpu_core.pods.holders import Holder, Holders
from gpu_exporter.exposition import Samples, join_labels
from gpu_exporter.families import POD_INFO, POD_MEMORY, POD_SM, Family
from gpu_exporter.pods.usage import PodUsage


def pod_samples(
    holders: Holders, usages: Iterable[PodUsage], devices: Mapping[DeviceKey, str]
) -> Iterator[tuple[Family, Samples]]:
    """Returns the samples of each family. devices: the rendered labels of each GPU and GPU instance that has series.

    A pod that is known by its UID alone has empty names. A device without labels has no series.
    """
    shown = tuple((each, text) for each in usages if (text := devices.get(DeviceKey(each.gpu, each.gpu_instance))))
    yield POD_INFO, _infos(holders, devices)
    yield (
        POD_MEMORY,
        ((_join(text, each.holder), each.memory_bytes) for each, text in shown if each.memory_bytes is not None),
    )
    yield POD_SM, ((_join(text, each.holder), each.sm_ratio) for each, text in shown if each.sm_ratio is not None)


def _infos(holders: Holders, devices: Mapping[DeviceKey, str]) -> Samples:
    for key, text in devices.items():
        for holder in holders.of_device(*key):
            yield join_labels(_join(text, holder), holder.labels.items()), 1


def _join(text: str, holder: Holder) -> str:
    """Appends the labels of a pod. pod_uid separates pods of one name, and pods without a known name."""
    values = (holder.pod, holder.namespace, holder.container, holder.pod_uid)
    return join_labels(text, zip(POD_INFO.labels, values, strict=True))
