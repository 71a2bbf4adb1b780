"""Device lists for ListAndWatch streams."""

from collections.abc import Callable

from device_plugin.broadcaster import MAX_STREAMS, DeviceListBroadcaster
from device_plugin.devices import Device, DeviceId
from gpu_core.domain.inventory import GpuUuid
from node_core.kubelet import deviceplugin_pb2 as pb


class FakeStream:
    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.end = ""
        self.client_ends: Callable[[], None] = lambda: None

    def send(self, devices: pb.ListAndWatchResponse) -> None:
        self.sizes.append(len(devices.devices))

    def close(self) -> None:
        self.end = "closed"

    def abort(self, code: str, message: str) -> None:
        self.end = code

    def on_end(self, callback: Callable[[], None]) -> None:
        self.client_ends = callback


DEVICE = Device(id=DeviceId("GPU-0"), uuid="GPU-0", index="0", gpu=GpuUuid("GPU-0"))


def test_a_stream_receives_the_current_list_and_each_different_list() -> None:
    broadcaster, stream = DeviceListBroadcaster((DEVICE,), on_stream_end=lambda: None), FakeStream()
    broadcaster.add(stream)
    assert [broadcaster.publish(devices) for devices in ((DEVICE,), (), ())] == [False, True, False]
    assert stream.sizes == [1, 0]


def test_only_a_stream_that_the_client_ends_is_reported() -> None:
    ends: list[int] = []
    broadcaster = DeviceListBroadcaster((), on_stream_end=lambda: ends.append(broadcaster.stream_count))
    first, second = FakeStream(), FakeStream()
    broadcaster.add(first)
    broadcaster.add(second)
    first.client_ends()
    broadcaster.end_streams()
    assert (ends, second.end, broadcaster.stream_count) == ([1], "closed", 0)


def test_the_oldest_of_too_many_streams_is_aborted() -> None:
    broadcaster = DeviceListBroadcaster((), on_stream_end=lambda: None)
    streams = [FakeStream() for _ in range(MAX_STREAMS + 1)]
    for stream in streams:
        broadcaster.add(stream)
    assert [stream.end for stream in streams] == ["RESOURCE_EXHAUSTED", *[""] * MAX_STREAMS]


def test_a_closed_broadcaster_ends_new_streams() -> None:
    broadcaster, stream = DeviceListBroadcaster((), on_stream_end=lambda: None), FakeStream()
    broadcaster.close()
    broadcaster.add(stream)
    assert (stream.end, stream.sizes) == ("closed", [])
