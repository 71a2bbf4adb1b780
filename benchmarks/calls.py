"""The time that the kubelet waits for a response of the plugin: Allocate and GetPreferredAllocation, through gRPC as the kubelet calls.

The client is grpcio. It is the same for each implementation.
"""

import json
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grpc

from benchmarks.agents import GPU
from benchmarks.figures import percentile
from benchmarks.pod import Bench, Stage, open_stage
from node_core.kubelet import deviceplugin_pb2 as pb

REPLICAS = 100
SHARED = f"version: v1\nsharing: {{timeSlicing: {{resources: [{{name: {GPU}, replicas: {REPLICAS}}}]}}}}\n"
SIXTEEN = {
    "driver": {"version": "550.54.15", "cuda": "12.4"},
    "gpus": [
        {"model": "NVIDIA H100 80GB HBM3", "count": 16, "memory": "81559Mi", "compute": "9.0", "device_id": "2330"}
    ],
    "nvlink": {"nvswitch": True},
}
"""A node with sixteen GPUs behind NVSwitch."""
WARM_UP = 20
Start = Callable[[Stage, Sequence[str]], object]
"""Starts a plugin. The second argument are the flags of one case."""
BATCHES = 5
"""The calls are divided into batches, each of which gives one value, so that the table shows their spread."""


def start_ours(stage: Stage, more: Sequence[str]) -> None:
    stage.start(("device_plugin",), *more)


def measure_calls(
    bench: Bench, calls: int, start: Start = start_ours, *, has_sharing: bool = True
) -> dict[str, list[float]]:
    """Returns the milliseconds of the calls. calls: for each number. has_sharing: measure replicas, too."""
    sixteen = bench.folder / "sixteen.yaml"
    sixteen.write_text(json.dumps(SIXTEEN))
    shared = bench.folder / "shared.yaml"
    shared.write_text(SHARED)
    found: dict[str, list[float]] = {}
    cases: tuple[tuple[str, str, list[str], int, int], ...] = (
        ("preferred 4 of 8", "h100x8", [], 8, 4),
        ("preferred 8 of 16", str(sixteen), [], 16, 8),
        ("preferred 400 of 800", "h100x8", ["--config-file", str(shared)], 8 * REPLICAS, 400),
    )
    for title, scenario, flags, count, size in cases:
        if flags and not has_sharing:
            continue
        with open_stage(bench, scenario) as stage:
            start(stage, flags)
            with open_channel(stage) as channel:
                ids = list_devices(channel, count)
                found[title] = measure_preferred(channel, ids, size, calls)
                if title == "preferred 4 of 8":
                    found |= measure_allocate(channel, ids, calls)
    return found


def open_channel(stage: Stage) -> grpc.Channel:
    """Connects to the socket that the plugin has registered."""
    stage.wait(lambda: any(name.startswith(GPU) for name in stage.kubelet.registered))
    return grpc.insecure_channel(f"unix:{find_socket(stage)}", options=[("grpc.default_authority", "localhost")])


def find_socket(stage: Stage) -> Path:
    """Returns the socket of the plugin."""
    return next(path for path in stage.kubelet.directory.glob("*.sock") if path != stage.kubelet.socket)


def list_devices(channel: grpc.Channel, count: int) -> list[str]:
    """Returns the ids of the first list. Raises SystemExit if their number is another one."""
    call = channel.unary_stream(
        "/v1beta1.DevicePlugin/ListAndWatch",
        request_serializer=pb.Empty.SerializeToString,
        response_deserializer=pb.ListAndWatchResponse.FromString,
    )
    stream = call(pb.Empty())
    ids = [device.ID for device in next(stream).devices]
    stream.cancel()
    if len(ids) != count:
        raise SystemExit(f"the plugin lists {len(ids)} devices in place of {count}")
    random.Random(1).shuffle(ids)
    return ids


def measure_allocate(channel: grpc.Channel, ids: Sequence[str], calls: int) -> dict[str, list[float]]:
    allocate = _unary(channel, "Allocate", pb.AllocateRequest, pb.AllocateResponse)
    request = pb.AllocateRequest(container_requests=[pb.ContainerAllocateRequest(devices_ids=[ids[0]])])
    batches = [_time(lambda: allocate(request), calls) for _ in range(BATCHES)]
    return {f"allocate p{share}": [percentile(times, share / 100) for times in batches] for share in (50, 99)}


def measure_preferred(channel: grpc.Channel, ids: Sequence[str], size: int, calls: int) -> list[float]:
    """Returns the median of each batch."""
    prefer = _unary(channel, "GetPreferredAllocation", pb.PreferredAllocationRequest, pb.PreferredAllocationResponse)
    container = pb.ContainerPreferredAllocationRequest(available_deviceIDs=ids, allocation_size=size)
    request = pb.PreferredAllocationRequest(container_requests=[container])
    chosen = prefer(request).container_responses[0].deviceIDs
    if len(set(chosen)) != size:
        raise SystemExit(f"the plugin prefers {len(set(chosen))} devices in place of {size}")
    return [percentile(_time(lambda: prefer(request), max(10, calls // 10)), 0.5) for _ in range(BATCHES)]


def _unary(channel: grpc.Channel, method: str, request: type, response: type) -> Callable[[Any], Any]:
    call: Callable[[Any], Any] = channel.unary_unary(
        f"/v1beta1.DevicePlugin/{method}",
        request_serializer=request.SerializeToString,  # type: ignore[attr-defined]
        response_deserializer=response.FromString,  # type: ignore[attr-defined]
    )
    return call


def _time(call: Callable[[], object], calls: int) -> list[float]:
    """Returns milliseconds of each call, after a few that do not count."""
    times = []
    for number in range(WARM_UP + calls):
        began = time.perf_counter()
        call()
        if number >= WARM_UP:
            times.append(1000 * (time.perf_counter() - began))
    return times
