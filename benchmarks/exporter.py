"""Memory, scrapes and CPU time of gpu-exporter: 8 GPUs with 7 MIG devices each, 56 pods and 56 processes.

    sudo .venv/bin/python -m benchmarks.exporter [--runs N] [--rest SECONDS]

Each process runs as in its pod, see pod.py: with pynvml, a C library that has NVML's ABI, and a pod-resources API that lists the pods.
Prints medians with minimum and maximum:

- memory (Pss) of `gpu-exporter`, and of `gpunode run` with and without metrics of GPUs
- the time of a scrape as Prometheus sends it (OpenMetrics, gzip): the first one after a reading, and others
- CPU time at rest: a reading and a scrape each 15 s
"""

import argparse
import http.client
import json
import random
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figures import percentile, spread
from benchmarks.pod import Bench, open_bench, open_stage
from benchmarks.procfs import read_pss, read_ticks
from node_core.grpc_h2.methods import Unary
from node_core.kubelet import podresources_pb2 as pb
from node_core.kubelet.server import UnixServer
from simulation.scenarios.scenario import load_scenario

SLICES = ["1g.10gb"] * 7
GPUS, PODS = 8, 8 * 7
SETTLE_SECONDS = 5.0
INTERVAL_S = 15.0
RENDERED, CACHED = 100, 1000
HEADERS = {"Accept": "application/openmetrics-text;version=1.0.0;q=0.6,*/*;q=0.1", "Accept-Encoding": "gzip"}

EXPORTER = ("gpu_exporter",)
RUN = ("gpunode", "run")


class Node:
    """The kubelet's files and APIs. devices: the ids of the MIG devices, one pod has each."""

    def __init__(self, folder: Path, devices: Sequence[str]) -> None:
        self.socket = folder / "pod-resources" / "kubelet.sock"
        self._checkpoint = folder / "device-plugins" / "kubelet_internal_checkpoint"
        for each in (self.socket, self._checkpoint):
            each.parent.mkdir()
        self._devices = list(devices)
        self._pods = {f"pod-{number}": device for number, device in enumerate(devices)}
        self._server = UnixServer(self.socket, {"/v1.PodResourcesLister/List": Unary(self._list)}, name="pod-resources")
        self._write()

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def replace_pods(self, step: int, count: int, chance: random.Random) -> None:
        """Ends some pods, and gives their devices to new pods."""
        for name in chance.sample(list(self._pods), count):
            self._pods[f"{name.partition('.')[0]}.{step}"] = self._pods.pop(name)
        self._write()

    def _list(self, _: bytes) -> bytes:
        pods = [
            pb.PodResources(
                name=name,
                namespace="team",
                containers=[pb.ContainerResources(name="main", devices=[pb.ContainerDevices(resource_name="r", device_ids=[device])])],
            )
            for name, device in self._pods.items()
        ]  # fmt: skip
        return bytes(pb.ListPodResourcesResponse(pod_resources=pods).SerializeToString())

    def _write(self) -> None:
        entries = [
            {"PodUID": f"uid-{name}", "ContainerName": "main", "ResourceName": "r", "DeviceIDs": {"0": [device]}}
            for name, device in self._pods.items()
        ]
        unfinished = self._checkpoint.with_suffix(".part")
        unfinished.write_text(json.dumps({"Data": {"PodDeviceEntries": entries}}))
        unfinished.replace(self._checkpoint)


def render_scenario(pids: Sequence[int] = (), faults: Sequence[str] = ()) -> str:
    """Returns a scenario file. pids: one for each MIG device, or none. faults: YAML maps."""
    groups = []
    for gpu in range(GPUS):
        own = pids[gpu * len(SLICES) : (gpu + 1) * len(SLICES)]
        processes = [{"pid": pid, "memory": "1Gi", "sm": 10, "mig": slot} for slot, pid in enumerate(own)]
        groups.append({
            "model": "NVIDIA H100 80GB HBM3", "count": 1, "memory": "81559Mi", "compute": "9.0", "device_id": "2330",
            "subsystem_id": "16c1", "mig": {"mode": "enabled", "instances": SLICES}, "use": {"processes": processes},
        })  # fmt: skip
    head = {"driver": {"version": "550.54.15", "cuda": "12.4"}, "gpus": groups, "nvlink": {"nvswitch": True}}
    return json.dumps(head)[:-1] + ', "faults": [' + ", ".join(faults) + "]}"


@contextmanager
def sleeping_processes() -> Iterator[list[int]]:
    processes = [subprocess.Popen(["sleep", "infinity"]) for _ in range(PODS)]
    try:
        yield [each.pid for each in processes]
    finally:
        for each in processes:
            each.kill()
            each.wait()


@contextmanager
def running(
    bench: Bench, module: Sequence[str], scenario: Path, *flags: str, is_simulated: bool = False
) -> Iterator[tuple[int, Node, Path]]:
    """Runs a program as in its pod. is_simulated: simulate the GPUs in place of the C library. Yields its PID, the node, and its log."""
    with open_stage(bench, str(scenario)) as stage:
        devices = [mig.uuid for gpu in load_scenario(str(scenario)).gpus for mig in gpu.mig_devices]
        node = Node(stage.folder, devices)
        node.start()
        try:
            words = stage.flags(module, "--pod-resources-kubelet-socket", str(node.socket), *flags)
            words += ["--simulate", str(scenario)] if is_simulated else []
            process = stage.prepare([*words, *(["--mig-strategy=mixed"] if module == RUN else [])])
            process.begin()
            yield process.pid, node, process.log
        finally:
            node.stop()


def scrape(port: int) -> tuple[float, int]:
    """Returns the milliseconds and the bytes of a scrape."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    begin = time.perf_counter()
    connection.request("GET", "/metrics", headers=HEADERS)
    body = connection.getresponse().read()
    taken = 1000 * (time.perf_counter() - begin)
    connection.close()
    return taken, len(body)


def wait_for_pods(port: int) -> None:
    """Waits until each MIG device has its pod."""
    for _ in range(600):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
            connection.close()
            if len(re.findall(r'^DCGM_FI_DEV_FB_USED\{[^}]*pod="pod-', text, re.MULTILINE)) == PODS:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit("the series have no pods after a minute")


def measure_scrapes(port: int) -> tuple[dict[str, list[float]], int]:
    """Returns milliseconds of scrapes after a reading and of others, and the bytes. The interval of the readings is a second."""
    chance, rendered, size = random.Random(1), list[float](), 0
    for _ in range(RENDERED):
        time.sleep(1.0 + chance.random())  # at any time between two readings
        taken, size = scrape(port)
        rendered.append(taken)
    others = [scrape(port)[0] for _ in range(CACHED)]
    return {"scrape after a reading": rendered, "other scrapes": others}, size


def measure_rest(pid: int, port: int, rest: float) -> float:
    """Returns milliseconds of CPU time per second, with a scrape each interval."""
    before, end = read_ticks(pid), time.monotonic() + rest
    start = time.monotonic()
    while time.monotonic() < end:
        scrape(port)
        time.sleep(INTERVAL_S)
    return 1000 * (read_ticks(pid) - before) / (time.monotonic() - start)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def settled_memory(
    bench: Bench,
    module: Sequence[str],
    scenario: Path,
    *,
    has_metrics: bool,
    more: Callable[[int, int], None] | None = None,
) -> float:
    """Returns MiB at rest. more: called before, with PID and port."""
    port = free_port()
    flags = [f"--address=127.0.0.1:{port}" if has_metrics else "--address=", "--collect-interval=15000"]
    with running(bench, module, scenario, *flags) as (pid, _, log):
        if has_metrics:
            wait_for_pods(port)
            for _ in range(20):
                scrape(port)
        else:
            wait_for_log(log, "resource_registered")
        time.sleep(SETTLE_SECONDS)
        if more is not None:
            more(pid, port)
        return read_pss(pid)


def wait_for_log(log: Path, text: str) -> None:
    for _ in range(600):
        if text in log.read_text():
            return
        time.sleep(0.1)
    raise SystemExit(f"{text} is not in the log after a minute")


def measure_memory(bench: Bench, runs: int) -> dict[str, list[float]]:
    """Returns the memory of gpu-exporter, for `make bench`."""
    scenario = bench.folder / "exporter.yaml"
    with sleeping_processes() as pids:
        scenario.write_text(render_scenario(pids))
        values = [settled_memory(bench, EXPORTER, scenario, has_metrics=True) for _ in range(runs)]
    return {"pss gpu-exporter": values}


def benchmark(bench: Bench, runs: int, rest: float) -> None:
    scenario = bench.folder / "exporter.yaml"
    idle: list[float] = []
    alone, without, within = [], [], []
    with sleeping_processes() as pids:
        scenario.write_text(render_scenario(pids))
        for _ in range(runs):
            alone.append(settled_memory(
                bench, EXPORTER, scenario, has_metrics=True, more=lambda pid, port: idle.append(measure_rest(pid, port, rest)),
            ))  # fmt: skip
            without.append(settled_memory(bench, RUN, scenario, has_metrics=False))
            within.append(settled_memory(bench, RUN, scenario, has_metrics=True))
        print(f"Pss of gpu-exporter, MiB:             {spread(alone)}")
        print(f"Pss of gpunode run without, MiB:      {spread(without)}")
        print(f"Pss of gpunode run with metrics, MiB: {spread(within)}")
        print(f"CPU at rest, ms per s:                {spread(idle)}", flush=True)
        port = free_port()
        with running(bench, EXPORTER, scenario, f"--address=127.0.0.1:{port}", "--collect-interval=1000"):
            wait_for_pods(port)
            scrapes, size = measure_scrapes(port)
    for title, values in scrapes.items():
        shown = ", ".join(f"p{100 * share:.0f} {percentile(values, share):.2f}" for share in (0.5, 0.9, 0.99))
        print(f"{title}, ms: {shown}, max {max(values):.2f} (n={len(values)}, {size} bytes)")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rest", type=float, default=120.0)
    options = parser.parse_args()
    with open_bench() as bench:
        benchmark(bench, options.runs, options.rest)


if __name__ == "__main__":
    main()
