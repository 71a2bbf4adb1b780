"""Reads the UIDs of pods from the kubelet's checkpoint of allocated devices.

The pod-resources API has no UIDs, and the cgroups of processes have nothing else. Source: kubelet_internal_checkpoint of the kubelet.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from gpu_core.pods.holders import PodIdentity
from node_core.kubelet.podresources import PodDevices

CHECKPOINT = "kubelet_internal_checkpoint"
"""The name of the file in the kubelet's folder of device plugins. The kubelet replaces the file at each allocation."""
MAX_BYTES = 16 << 20


class Allocation(msgspec.Struct, frozen=True, kw_only=True):
    """The devices of one resource of a container."""

    pod_uid: str
    container: str
    devices: frozenset[str]


class _Entry(msgspec.Struct):
    pod_uid: str = msgspec.field(name="PodUID")
    container: str = msgspec.field(name="ContainerName")
    devices: dict[str, list[str] | None] | None = msgspec.field(name="DeviceIDs", default=None)
    """NUMA node -> ids."""


class _Data(msgspec.Struct):
    entries: list[_Entry] | None = msgspec.field(name="PodDeviceEntries", default=None)


class _File(msgspec.Struct):
    data: _Data = msgspec.field(name="Data")


def read_checkpoint(folder: Path) -> bytes:
    """Returns the content of the file, or no bytes if the file is missing, unreadable or larger than MAX_BYTES."""
    try:
        with (folder / CHECKPOINT).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError:
        return b""
    return content if len(content) <= MAX_BYTES else b""


def parse_checkpoint(content: bytes) -> tuple[Allocation, ...]:
    """Parses the file. Raises ValueError if it has another format."""
    try:
        file = msgspec.json.decode(content, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{CHECKPOINT}: {error}") from error
    return tuple(map(_allocation, file.data.entries or ()))


def select_identities(pods: Iterable[PodDevices], allocations: Iterable[Allocation]) -> tuple[PodIdentity, ...]:
    """Returns the pods whose devices all lead to one UID. PURE.

    A UID that fits two pods, and a pod with two UIDs, is omitted: the file and the list of the pods are of two moments.
    """
    uids: dict[tuple[str, str], set[str]] = {}
    for each in allocations:
        for device in each.devices:
            uids.setdefault((each.container, device), set()).add(each.pod_uid)
    found: dict[str, list[PodIdentity]] = {}
    for pod in pods:
        candidates = _intersect(uids.get(key, set()) for key in _keys(pod))
        if len(candidates) == 1:
            (uid,) = candidates
            found.setdefault(uid, []).append(PodIdentity(uid=uid, namespace=pod.namespace, name=pod.name))
    return tuple(named[0] for named in found.values() if len(named) == 1)


def _keys(pod: PodDevices) -> Iterable[tuple[str, str]]:
    return ((container.name, device) for container in pod.containers for device in container.devices)


def _intersect(sets: Iterable[set[str]]) -> set[str]:
    first, *others = [*sets] or [set()]
    return first.intersection(*others)


def _allocation(entry: _Entry) -> Allocation:
    ids = (id_ for of_node in (entry.devices or {}).values() for id_ in of_node or ())
    return Allocation(pod_uid=entry.pod_uid, container=entry.container, devices=frozenset(ids))
