"""Selects the pods that have each device. PURE."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from gpu_core.domain.inventory import Gpu
from gpu_core.pods.cgroups import PodCgroup
from gpu_core.pods.device_names import DeviceKey, DeviceNames, name_devices
from node_core.kubelet.podresources import ClaimedDevice, ContainerDevices, PodDevices
from node_core.values import replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A container that has a device. An empty text is unknown.

    labels: the allowed labels of the pod, with the keys of Kubernetes.
    """

    pod: str
    namespace: str
    container: str
    pod_uid: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)


class PodIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """What else is known about a pod of the node. containers: id of a container, 64 hexadecimal digits -> name."""

    uid: str
    namespace: str
    name: str
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    containers: Mapping[str, str] = msgspec.field(default_factory=dict)


class Holders(msgspec.Struct, frozen=True, kw_only=True):
    """devices: device -> its holders, sorted. claims: device -> the devices of claims that are this device.

    pods: UID -> pod, with `containers` as in PodIdentity.
    """

    devices: Mapping[DeviceKey, tuple[Holder, ...]] = msgspec.field(default_factory=dict)
    claims: Mapping[DeviceKey, frozenset[ClaimedDevice]] = msgspec.field(default_factory=dict)
    pods: Mapping[str, PodIdentity] = msgspec.field(default_factory=dict)
    only_containers: Mapping[tuple[str, str], str] = msgspec.field(default_factory=dict)
    """Namespace and name of a pod with one container -> the name of the container."""

    def of_device(self, gpu_uuid: str, gpu_instance: int | None = None) -> tuple[Holder, ...]:
        """Returns the containers that have a GPU, or a GPU instance. A GPU in MIG mode has no holders itself."""
        return self.devices.get(DeviceKey(gpu_uuid, gpu_instance), ())

    def exclusive_holder(self, gpu_uuid: str, gpu_instance: int | None = None) -> Holder | None:
        """Returns the pod that has the device alone; None if several pods share the device, or no pod has it.

        The container is empty if several containers of the pod share the device.
        """
        holders = self.of_device(gpu_uuid, gpu_instance)
        if len({(holder.namespace, holder.pod) for holder in holders}) != 1:
            return None
        return holders[0] if len(holders) == 1 else replace(holders[0], container="")

    def exclusive_claim(self, gpu_uuid: str, gpu_instance: int | None = None) -> ClaimedDevice | None:
        """Returns the device of the only ResourceClaim of a device; None with several claims or without one. Pods may share the claim."""
        claims = self.claims.get(DeviceKey(gpu_uuid, gpu_instance), frozenset())
        return next(iter(claims)) if len(claims) == 1 else None

    def of_process(self, pods: tuple[PodCgroup, ...]) -> Holder | None:
        """Returns the container of a process; None if the process is in no pod.

        pods: around the process, the outermost first. The first known one counts: the kubelet of the node may itself run in a pod. A pod
        that is not known has only its UID.
        """
        place = next((each for each in pods if each.uid in self.pods), next(iter(pods), None))
        if place is None:
            return None
        pod = self.pods.get(place.uid)
        if pod is None:
            return Holder(pod="", namespace="", container="", pod_uid=place.uid)
        only = self.only_containers.get((pod.namespace, pod.name), "")
        container = pod.containers.get(place.container_id, "") if pod.containers else only
        return Holder(pod=pod.name, namespace=pod.namespace, container=container, pod_uid=pod.uid, labels=pod.labels)


def select_holders(pods: Iterable[PodDevices], gpus: Iterable[Gpu], identities: Iterable[PodIdentity] = ()) -> Holders:
    """Returns the holders of each device that NVML lists. gpus: with their MIG devices. Ids of other devices are ignored.

    identities: pods whose UIDs are known; at most one for each namespace and name.
    """
    names = name_devices(gpus)
    known = {(pod.namespace, pod.name): pod for pod in identities}
    found: dict[DeviceKey, set[Holder]] = {}
    claims: dict[DeviceKey, set[ClaimedDevice]] = {}
    only_containers: dict[tuple[str, str], str] = {}
    for pod in pods:
        if len(pod.containers) == 1:
            only_containers[pod.namespace, pod.name] = pod.containers[0].name
        for container in pod.containers:
            holder = _holder(pod, container, known.get((pod.namespace, pod.name)))
            for key in _select_devices(container, names):
                found.setdefault(key, set()).add(holder)
            for device in container.claimed:
                if (claimed := names.find_claimed(device)) is not None:
                    claims.setdefault(claimed, set()).add(device)
    return Holders(
        devices={key: tuple(sorted(each, key=_order)) for key, each in found.items()},
        claims={key: frozenset(each) for key, each in claims.items()},
        pods={pod.uid: pod for pod in known.values()},
        only_containers=only_containers,
    )


def _holder(pod: PodDevices, container: ContainerDevices, identity: PodIdentity | None) -> Holder:
    return Holder(
        pod=pod.name,
        namespace=pod.namespace,
        container=container.name,
        pod_uid=identity.uid if identity else "",
        labels=identity.labels if identity else {},
    )


def _select_devices(container: ContainerDevices, names: DeviceNames) -> set[DeviceKey]:
    of_plugins = map(names.find, container.devices)
    of_claims = map(names.find_claimed, container.claimed)
    return {key for key in (*of_plugins, *of_claims) if key is not None}


def _order(holder: Holder) -> tuple[str, str, str]:
    return holder.namespace, holder.pod, holder.container
