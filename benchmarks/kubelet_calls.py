"""The cost of an idle gpu-device-plugin, and the duration of its gRPC calls.

    sudo .venv/bin/python benchmarks/kubelet_calls.py [runs] [tree ...]

Starts the program with a simulated API server and kubelet, and eight simulated H100 with 125 replicas each, and calls it with grpcio. tree:
folders of other checkouts, whose programs run alternately, so that other load of the machine affects all of them. Prints medians with
minimum and maximum: seconds and CPU from start to Register, memory (PSS, VmRSS), threads, wake-ups and CPU milliseconds per second while
idle, CPU and duration of Allocate, and the duration of the first list of 1000 devices.

The program starts as in its pod. The program uses a service account, in a mount namespace, which needs root: a kubeconfig would add the
import of the kubernetes package. The bytecode exists, as in the image.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import grpc
from memory import IN_A_POD, read_cpu, start_agents, write_account

from node_core.kubelet import deviceplugin_pb2 as pb
from simulation.apiserver import ApiServer
from simulation.kubelet.kubelet import Kubelet

CONFIG = "version: v1\nsharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 125}]}}\n"
DEVICES = 1000
CALLS = 1000
IDLE_SECONDS = 5.0


def run_once(tree: Path) -> dict[str, float]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gpunode-bench-")))
        server = stack.enter_context(ApiServer())
        server.add_node("bench", labels={"nvidia.com/gpu.present": "true"})
        account = write_account(server, folder)
        (folder / "config").write_text(CONFIG)
        kubelet = Kubelet(folder / "dp")
        stack.callback(kubelet.stop)
        kubelet.start()
        pod = ["unshare", "--mount", "sh", "-c", IN_A_POD, "sh", str(account)]
        process = subprocess.Popen(
            [*pod, *command(folder, kubelet.socket)], cwd=tree, env=pod_environment(server),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            start, cpu = start_agents([process])
            wait_for(lambda: "nvidia.com/gpu.shared" in kubelet.resources() or "nvidia.com/gpu" in kubelet.resources())
            found = {
                "start to Register, s": time.perf_counter() - start,
                "CPU until then, s": read_cpu(process.pid) - cpu,
            }
            time.sleep(2)
            found |= measure_idle(process.pid)
            with grpc.insecure_channel(
                f"unix:{folder}/dp/nvidia-gpu.sock", options=[("grpc.default_authority", "localhost")]
            ) as channel:
                found |= calls(channel, process.pid)
            return found | {"PSS after the calls, MiB": memory(process.pid)["PSS, MiB"]}
        finally:
            process.terminate()
            process.wait()


def pod_environment(server: ApiServer) -> dict[str, str]:
    """The environment without a kubeconfig, so that the program uses the service account."""
    host, _, port = server.url.removeprefix("https://").partition(":")
    kept = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    return {**kept, "KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}


def compile_tree(tree: Path) -> None:
    """Writes the bytecode of the product, which the image also contains."""
    subprocess.run([sys.executable, "-m", "compileall", "-q", "node_core", "device_plugin"], cwd=tree, check=True)


def command(folder: Path, socket: Path) -> list[str]:
    flags = ["--node-name", "bench", "--simulate", "h100x8"]
    flags += ["--lock-dir", str(folder), "--http-address", "127.0.0.1:0", "--kubelet-socket", str(socket)]
    return [sys.executable, "-m", "device_plugin", *flags, "--config-file", f"{folder}/config"]


def wait_for(is_true: Callable[[], bool]) -> None:
    while not is_true():
        time.sleep(0.002)


def measure_idle(pid: int) -> dict[str, float]:
    threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    wakes, cpu = wake_ups(pid), cpu_seconds(pid)
    time.sleep(IDLE_SECONDS)
    return {
        **memory(pid),
        "threads": threads,
        "wake-ups a second": (wake_ups(pid) - wakes) / IDLE_SECONDS,
        "CPU while idle, ms/s": (cpu_seconds(pid) - cpu) / IDLE_SECONDS * 1000,
    }


def memory(pid: int) -> dict[str, float]:
    return {
        "PSS, MiB": field(Path(f"/proc/{pid}/smaps_rollup"), "Pss:") / 1024,
        "VmRSS, MiB": field(Path(f"/proc/{pid}/status"), "VmRSS:") / 1024,
    }


def wake_ups(pid: int) -> int:
    return sum(field(task / "status", "voluntary_ctxt_switches:") for task in Path(f"/proc/{pid}/task").iterdir())


def cpu_seconds(pid: int) -> float:
    values = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")


def field(path: Path, name: str) -> int:
    return int(next(line.split()[1] for line in path.read_text().splitlines() if line.startswith(name)))


def calls(channel: grpc.Channel, pid: int) -> dict[str, float]:
    allocate = unary(channel, "Allocate", pb.AllocateResponse)
    first_list: list[float] = []
    devices: list[pb.Device] = []
    for _ in range(20):
        start = time.perf_counter()
        devices = listed(channel)
        first_list.append((time.perf_counter() - start) * 1000)
    assert len(devices) == DEVICES
    request = pb.AllocateRequest(container_requests=[pb.ContainerAllocateRequest(devices_ids=[devices[7].ID])])
    cpu = read_cpu(pid)
    times = sorted(milliseconds(lambda: allocate(request)) for _ in range(CALLS))
    return {
        "CPU of an Allocate, ms": (read_cpu(pid) - cpu) / CALLS * 1000,
        "Allocate p50, ms": times[CALLS // 2],
        "Allocate p99, ms": times[CALLS * 99 // 100],
        "first list of 1,000, ms": statistics.median(first_list),
    }


def listed(channel: grpc.Channel) -> list[pb.Device]:
    call = channel.unary_stream(
        "/v1beta1.DevicePlugin/ListAndWatch",
        request_serializer=pb.Empty.SerializeToString,
        response_deserializer=pb.ListAndWatchResponse.FromString,
    )
    stream = call(pb.Empty())
    devices = list(next(stream).devices)
    stream.cancel()
    return devices


def unary(channel: grpc.Channel, method: str, response: type) -> Callable[[pb.AllocateRequest], object]:
    return channel.unary_unary(
        f"/v1beta1.DevicePlugin/{method}",
        request_serializer=pb.AllocateRequest.SerializeToString,
        response_deserializer=response.FromString,
    )


def milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000


def show(tree: Path, runs: list[Mapping[str, float]]) -> None:
    print(tree)
    for name in runs[0]:
        values = [run[name] for run in runs]
        print(f"  {name:28} {statistics.median(values):8.2f} ({min(values):.2f}..{max(values):.2f})")


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    trees = [Path(each).resolve() for each in sys.argv[2:]] or [Path.cwd()]
    found: dict[Path, list[Mapping[str, float]]] = {tree: [] for tree in trees}
    for tree in trees:
        compile_tree(tree)
    for _ in range(runs):
        for tree in trees:
            found[tree].append(run_once(tree))
    for tree in trees:
        show(tree, found[tree])


if __name__ == "__main__":
    main()
