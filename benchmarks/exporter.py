"""Memory, scrapes and CPU time of gpu-exporter: 8 GPUs with 7 MIG devices each, 56 pods and 56 processes.

    sudo .venv/bin/python benchmarks/exporter.py [--runs N] [--rest SECONDS] [--soak SECONDS]

Each process runs as in its pod, see memory.py: with pynvml, a C library that has NVML's ABI, and a pod-resources API that lists the pods.
Prints medians with minimum and maximum:

- memory (Pss) of `gpu-exporter`, and of `gpunode run` with and without metrics of GPUs
- the time of a scrape as Prometheus sends it (OpenMetrics, gzip): the first one after a reading, and others
- CPU time at rest: a reading and a scrape each 15 s

--soak: instead, pods and MIG devices change all the time (`make soak`). The GPUs are those of --simulate, because the C library does not
change MIG devices. Prints the memory during the run, and fails if the memory of the last third is more than SOAK_MIB above
that of the second third; the first third fills the pools of the interpreter.
"""

import argparse
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from memory import IN_A_POD, NODE, Copy, copy_python, read_pss, start_agents, write_account

from node_core.grpc_h2.methods import Unary
from node_core.kubelet import podresources_pb2 as pb
from node_core.kubelet.server import UnixServer
from simulation.apiserver import ApiServer
from simulation.kubelet.kubelet import Kubelet
from simulation.scenarios.scenario import load_scenario
from tests.nvml.build import build_library
from tests.nvml.scenario_lines import VARIABLE, render_lines

SLICES = ["1g.10gb"] * 7
GPUS, PODS = 8, 8 * 7
SETTLE_SECONDS = 5.0
INTERVAL_S = 15.0
RENDERED, CACHED = 100, 1000
SOAK_STEP_S, SOAK_SAMPLES, SOAK_MIB = 1.0, 20, 1.5
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
    module: Sequence[str], copy: Copy, scenario: Path, library: Path | None, *flags: str
) -> Iterator[tuple[int, Node, Path]]:
    """Runs a program as in its pod. library: a folder with NVML; None to simulate the GPUs. Yields its PID, the node, and its log."""
    with ExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="gpunode-bench-")))
        server = exits.enter_context(ApiServer())
        server.add_node(NODE, labels={"nvidia.com/gpu.present": "true"})
        kubelet = Kubelet(folder / "dp")
        devices = [mig.uuid for gpu in load_scenario(str(scenario)).gpus for mig in gpu.mig_devices]
        node = Node(folder, devices)
        for component in (kubelet, node):
            exits.callback(component.stop)
            component.start()
        host, _, port = server.url.removeprefix("https://").partition(":")
        environment = {
            "PATH": os.environ["PATH"], "PYTHONPATH": copy.path, "PYTHONHOME": str(copy.python.parent.parent),
            "LD_LIBRARY_PATH": str(copy.python.parent.parent / "lib"), VARIABLE: str(scenario.with_suffix(".lines")),
            "KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port,
        }  # fmt: skip
        words = [
            "-m", *module, "--node-name", NODE, "--lock-dir", "", "--http-address", "127.0.0.1:0",
            "--pod-resources-kubelet-socket", str(node.socket), *flags,
        ]  # fmt: skip
        if library is None:
            words += ["--simulate", str(scenario)]
        else:
            shutil.copytree(library, folder / "driver")
            words += ["--driver-root-ctr-path", str(folder / "driver")]
        if module == RUN:
            words += ["--kubelet-socket", str(kubelet.socket), "--cdi-dir", str(folder / "cdi"), "--mig-strategy=mixed"]
        log = folder / "log"
        account = write_account(server, folder)
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", IN_A_POD, "sh", str(account), str(copy.python), *words],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log.open("wb"),
        )  # fmt: skip
        try:
            start_agents([process])
            yield process.pid, node, log
        except BaseException:
            print(log.read_text()[-3000:])
            raise
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


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


def read_ticks(pid: int) -> float:
    """Returns the CPU seconds of all threads, also of those that have ended: each scrape has a thread."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def measure_rest(pid: int, port: int, rest: float) -> float:
    """Returns milliseconds of CPU time per second, with a scrape each interval."""
    before, end = read_ticks(pid), time.monotonic() + rest
    start = time.monotonic()
    while time.monotonic() < end:
        scrape(port)
        time.sleep(INTERVAL_S)
    return 1000 * (read_ticks(pid) - before) / (time.monotonic() - start)


def spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}..{max(values):.2f})"


def quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def settled_memory(
    module: Sequence[str],
    copy: Copy,
    scenario: Path,
    library: Path,
    *,
    has_metrics: bool,
    more: Callable[[int, int], None],
) -> float:
    port = free_port()
    flags = [f"--address=127.0.0.1:{port}" if has_metrics else "--address=", "--collect-interval=15000"]
    with running(module, copy, scenario, library, *flags) as (pid, _, log):
        if has_metrics:
            wait_for_pods(port)
            for _ in range(20):
                scrape(port)
        else:
            wait_for_log(log, "resource_registered")
        time.sleep(SETTLE_SECONDS)
        more(pid, port)
        return read_pss(pid)


def wait_for_log(log: Path, text: str) -> None:
    for _ in range(600):
        if text in log.read_text():
            return
        time.sleep(0.1)
    raise SystemExit(f"{text} is not in the log after a minute")


def benchmark(folder: Path, copy: Copy, runs: int, rest: float) -> None:
    library = folder / "driver"
    build_library(library)
    scenario = folder / "scenario.yaml"
    with sleeping_processes() as pids:
        scenario.write_text(render_scenario(pids))
        scenario.with_suffix(".lines").write_text(render_lines(load_scenario(str(scenario))))
        idle: list[float] = []
        alone, without, within = [], [], []
        for _ in range(runs):
            alone.append(settled_memory(
                EXPORTER, copy, scenario, library, has_metrics=True,
                more=lambda pid, port: idle.append(measure_rest(pid, port, rest)),
            ))  # fmt: skip
            without.append(settled_memory(RUN, copy, scenario, library, has_metrics=False, more=lambda *_: None))
            within.append(settled_memory(RUN, copy, scenario, library, has_metrics=True, more=lambda *_: None))
        print(f"Pss of gpu-exporter, MiB:             {spread(alone)}")
        print(f"Pss of gpunode run without, MiB:      {spread(without)}")
        print(f"Pss of gpunode run with metrics, MiB: {spread(within)}")
        print(f"CPU at rest, ms per s:                {spread(idle)}", flush=True)
        port = free_port()
        with running(EXPORTER, copy, scenario, library, f"--address=127.0.0.1:{port}", "--collect-interval=1000"):
            wait_for_pods(port)
            scrapes, size = measure_scrapes(port)
        for title, values in scrapes.items():
            shown = ", ".join(f"p{100 * share:.0f} {quantile(values, share):.2f}" for share in (0.5, 0.9, 0.99))
            print(f"{title}, ms: {shown}, max {max(values):.2f} (n={len(values)}, {size} bytes)")


def soak(folder: Path, copy: Copy, seconds: float) -> None:
    scenario = folder / "scenario.yaml"
    times = [10 + 5 * step for step in range(int(seconds / 5))]
    layouts = (["3g.40gb", "2g.20gb", "1g.10gb", "1g.10gb"], SLICES)
    scenario.write_text(render_scenario(faults=[
        json.dumps({"at": at, "gpu": step % GPUS, "kind": "mig", "instances": layouts[(step // GPUS) % 2]})
        for step, at in enumerate(times)
    ]))  # fmt: skip
    port, chance, samples = free_port(), random.Random(1), []
    flags = (f"--address=127.0.0.1:{port}", "--collect-interval=1000")
    with running(EXPORTER, copy, scenario, None, *flags) as (pid, node, _):
        wait_for_pods(port)
        begin = time.monotonic()
        for step in range(int(seconds / SOAK_STEP_S)):
            node.replace_pods(step, 8, chance)
            scrape(port)
            if step % max(1, int(seconds / SOAK_STEP_S / SOAK_SAMPLES)) == 0:
                samples.append(read_pss(pid))
                print(
                    f"{time.monotonic() - begin:7.0f} s {samples[-1]:.2f} MiB, {len(list(Path(f'/proc/{pid}/fd').iterdir()))} files",
                    flush=True,
                )
            time.sleep(SOAK_STEP_S)
    third = len(samples) // 3
    growth = statistics.median(samples[-third:]) - statistics.median(samples[third : 2 * third])
    print(f"growth from the second to the last third: {growth:.2f} MiB")
    if growth > SOAK_MIB:
        raise SystemExit(f"the memory grows: more than {SOAK_MIB} MiB")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rest", type=float, default=120.0)
    parser.add_argument("--soak", type=float, default=0.0, metavar="SECONDS")
    options = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("needs root to create a mount namespace with the files of the service account")
    with tempfile.TemporaryDirectory(prefix="gpunode-bench-") as name:
        folder = Path(name)
        copy = copy_python(folder / "python")
        if options.soak:
            soak(folder, copy, options.soak)
        else:
            benchmark(folder, copy, options.runs, options.rest)


if __name__ == "__main__":
    main()
