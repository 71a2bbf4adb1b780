"""The service DRAResourceHealth: the kubelet writes the health of the devices to the status of the pods that have them (KEP-4680)."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from node_core.grpc_h2.methods import Methods, ResponseStream, Streaming
from node_core.kubelet import dra_health_pb2 as pb

HEALTH_SERVICE = "v1alpha1.DRAResourceHealth"
"""As the driver registers the service. Kubelets until 1.36 call the service in any case, newer ones only if it is registered."""
TIMEOUT = 300
"""Minimum seconds without an update after which the kubelet regards the health as unknown."""
NEVER = 2**31 - 1
_MAX_MESSAGE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceHealth:
    """is_healthy: None if unknown. message: why the device is not healthy; empty if it is."""

    pool: str
    device: str
    is_healthy: bool | None
    message: str = ""


class HealthBroadcaster:
    """Sends the newest health to each kubelet that watches it. Thread-safe.

    interval: seconds between the periodic discoveries, each of which sends the health; None for none.
    """

    def __init__(self, interval: float | None = 60.0) -> None:
        self._timeout = NEVER if interval is None else min(NEVER, max(TIMEOUT, int(3 * interval)))
        self._lock = threading.Lock()
        self._streams: list[ResponseStream] = []
        self._newest: bytes | None = None

    @property
    def methods(self) -> Methods:
        return {f"/{HEALTH_SERVICE}/NodeWatchResources": Streaming(self._watch)}

    def publish(self, devices: Sequence[DeviceHealth], now: float) -> None:
        """Sends the health of all devices. now: Unix seconds of the observation."""
        message = pb.NodeWatchResourcesResponse(devices=[_render(each, int(now), self._timeout) for each in devices])
        with self._lock:
            self._newest = message.SerializeToString()
            for stream in self._streams:
                stream.send(self._newest)

    def _watch(self, _: bytes, out: ResponseStream) -> None:
        with self._lock:
            self._streams.append(out)
            out.on_end(lambda: self._end(out))
            if self._newest is not None:
                out.send(self._newest)

    def _end(self, out: ResponseStream) -> None:
        with self._lock:
            self._streams.remove(out)


def _render(health: DeviceHealth, now: int, timeout: int) -> pb.DeviceHealth:
    status = {True: pb.HEALTHY, False: pb.UNHEALTHY, None: pb.UNKNOWN}[health.is_healthy]
    return pb.DeviceHealth(
        device=pb.DeviceIdentifier(pool_name=health.pool, device_name=health.device),
        health=status,
        last_updated_time=now,
        health_check_timeout_seconds=timeout,
        message=health.message[:_MAX_MESSAGE],
    )
