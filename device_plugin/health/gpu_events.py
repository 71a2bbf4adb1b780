"""Records Kubernetes Events about GPUs: for the Node, and for the pods that use the devices."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import msgspec
import structlog

from device_plugin.devices import DeviceId
from gpu_core.domain.inventory import GpuUuid
from node_core.domain.events import Event, Reference, event_name
from node_core.errors import KubeletError
from node_core.runtime.event_recorder import EventRecorder, rfc3339

log = structlog.get_logger(__name__)

PodsOfDevices = Callable[[frozenset[str]], Iterable[tuple[str, str]]]
"""Returns namespace and name of the pods that use one of the devices. May raise KubeletError."""


class GpuEvent(msgspec.Struct, frozen=True, kw_only=True):
    """reason: CamelCase, for machines. note: a sentence. at: Unix seconds. devices: pods that use one of them also get the Event."""

    reason: str
    note: str
    gpu: GpuUuid
    at: float
    is_warning: bool = True
    count: int = 1
    devices: frozenset[DeviceId] = frozenset()


class PodApi(Protocol):
    """See kube.events.EventApi."""

    def pod_uid(self, namespace: str, name: str) -> str | None:
        """Returns the UID; None if the pod does not exist. Raises KubeError."""
        ...


class GpuEventRecorder:
    """pods, pods_of: called in the recorder's thread."""

    def __init__(
        self, recorder: EventRecorder, pods: Callable[[], PodApi], pods_of: PodsOfDevices, *, agent: str, node_name: str
    ) -> None:
        self._recorder, self._pods, self._pods_of_devices = recorder, pods, pods_of
        self._agent, self._node_name = agent, node_name
        self._is_unknown = False

    def record(self, event: GpuEvent) -> None:
        """Records an Event. Callable from any thread."""
        self._recorder.record(lambda: self._events(event))

    def _events(self, event: GpuEvent) -> Iterator[Event]:
        node = Reference(kind="Node", name=self._node_name, uid=self._node_name)
        yield event_about(event, node, agent=self._agent, node_name=self._node_name)
        for namespace, name in self._affected_pods(event):
            if (uid := self._pods().pod_uid(namespace, name)) is not None:
                pod = Reference(kind="Pod", name=name, uid=uid, namespace=namespace)
                yield event_about(event, pod, agent=self._agent, node_name=self._node_name)

    def _affected_pods(self, event: GpuEvent) -> tuple[tuple[str, str], ...]:
        if not event.devices:
            return ()
        try:
            pods = tuple(self._pods_of_devices(frozenset(event.devices)))
        except KubeletError as error:
            if not self._is_unknown:  # once until the kubelet responds again
                log.warning("pod_assignments_unknown", why=str(error), effect="affected pods get no Event")
            self._is_unknown = True
            return ()
        if self._is_unknown:
            log.info("pod_assignments_known")
        self._is_unknown = False
        return pods


def event_about(event: GpuEvent, about: Reference, *, agent: str, node_name: str) -> Event:
    """Builds the Event about one object. PURE."""
    return Event(
        name=event_name(about.name, about, event.reason, event.gpu, event.note, event.at),
        about=about,
        reason=event.reason,
        note=event.note,
        at=rfc3339(event.at),
        agent=agent,
        node_name=node_name,
        is_warning=event.is_warning,
        count=event.count,
    )
