"""How long the kubelet trusts the health of a device."""

import pytest

from dra_driver.kubelet.health import NEVER, TIMEOUT, DeviceHealth, HealthBroadcaster
from node_core.grpc_h2.methods import Streaming
from node_core.kubelet import dra_health_pb2 as pb


class Stream:
    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, message: bytes) -> None:
        self.sent.append(message)

    def close(self) -> None: ...

    def abort(self, code: str, message: str) -> None: ...

    def on_end(self, callback: object) -> None: ...


@pytest.mark.parametrize(
    ("interval", "timeout"), [(60.0, TIMEOUT), (0.5, TIMEOUT), (3600.0, 10800), (1e12, NEVER), (None, NEVER)]
)
def test_the_health_is_valid_for_longer_than_the_interval_of_the_discoveries(
    interval: float | None, timeout: int
) -> None:
    broadcaster, stream = HealthBroadcaster(interval), Stream()
    (method,) = broadcaster.methods.values()
    assert isinstance(method, Streaming)
    method.start(b"", stream)
    broadcaster.publish([DeviceHealth(pool="n1", device="gpu-0", is_healthy=True)], 1.0)
    (message,) = stream.sent
    assert pb.NodeWatchResourcesResponse.FromString(message).devices[0].health_check_timeout_seconds == timeout
