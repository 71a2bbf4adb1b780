"""The first row, the duration and the memory of `gpunode nodes` in a large cluster.

    .venv/bin/python -m benchmarks.nodes [--nodes 5000] [--pods 2000] [--runs 5] [--kubeconfig FILE [--fill]] [-- ARGUMENTS OF nodes]

Starts a simulated API server in its own process, with GPU nodes of about 20 kB each and their Pods, and runs the command as a person does.
With more Pods, the command reads them by Node, for which the simulated API server has no index: each request searches all Pods.
With --kubeconfig, the cluster is a real one; --fill first creates the Nodes and Pods in it. Prints medians with minimum and maximum.
"""

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from node_core.kube.http import ApiClient
from simulation.apiserver import ApiServer

GPU = "nvidia.com/gpu"
NAMESPACE = "benchmark"
IMAGES = 50
"""Images in the status of a Node, which are most of its size."""
FEATURES = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """first_row, total: seconds after the start of the process. memory: MiB at the peak."""

    first_row: float
    total: float
    memory: float


def make_nodes(count: int) -> Iterator[dict[str, Any]]:
    features = {f"feature.node.kubernetes.io/cpu-cpuid.F{number}": "true" for number in range(FEATURES)}
    images = [
        {"names": [f"registry.example.com/team/image-{number}@sha256:{number:064}"], "sizeBytes": 10**9}
        for number in range(IMAGES)
    ]
    resources = {"cpu": "192", "memory": "2113Gi", "pods": "110", GPU: "8"}
    labels = {
        **features,
        f"{GPU}.present": "true",
        f"{GPU}.product": "NVIDIA-H100-80GB-HBM3",
        f"{GPU}.count": "8",
        f"{GPU}.memory": "81559",
        "nvidia.com/cuda.driver-version.full": "570.86.15",
        "nvidia.com/cuda.runtime-version.full": "12.8",
    }
    conditions = [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}]
    for number in range(count):
        yield {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": f"gpu-{number:05}", "labels": labels},
            "status": {"capacity": resources, "allocatable": resources, "conditions": conditions, "images": images},
        }


def make_pods(count: int, nodes: int) -> Iterator[dict[str, Any]]:
    container = {"name": "main", "image": "registry.example.com/team/image-1", "resources": {"limits": {GPU: "1"}}}
    for number in range(count):
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"pod-{number:06}", "namespace": NAMESPACE},
            "spec": {"nodeName": f"gpu-{number % nodes:05}", "containers": [container]},
            "status": {"phase": "Running"},
        }


def serve(nodes: int, pods: int, kubeconfig: Path, is_ready: Event) -> None:
    """Serves the cluster until the process ends."""
    with ApiServer() as server:
        for node in make_nodes(nodes):
            server.store.create("nodes", node)
        for pod in make_pods(pods, nodes):
            server.store.create("pods", pod)
        server.write_kubeconfig(kubeconfig)
        is_ready.set()
        while True:
            time.sleep(3600)


def fill(kubeconfig: Path, nodes: int, pods: int) -> None:
    """Creates the objects in a real cluster, eight at a time."""
    api = ApiClient(kubeconfig=str(kubeconfig), user_agent="benchmark")

    def create(path: str, obj: dict[str, Any]) -> None:
        api.request("POST", path, body=obj, content="application/json")

    create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    with ThreadPoolExecutor(8) as executor:
        list(executor.map(lambda node: create("/api/v1/nodes", node), make_nodes(nodes)))
        path = f"/api/v1/namespaces/{NAMESPACE}/pods"
        list(executor.map(lambda pod: create(path, pod), make_pods(pods, nodes)))


def measure(kubeconfig: Path, arguments: list[str]) -> Run:
    began = time.monotonic()
    command = [sys.executable, "-m", "gpunode", "nodes", "--kubeconfig", str(kubeconfig), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()  # the header is written with the first rows
    process.stdout.readline()
    first_row = time.monotonic() - began
    process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    return Run(first_row=first_row, total=time.monotonic() - began, memory=usage.ru_maxrss / 1024)


def report(runs: list[Run]) -> None:
    for name, unit in (("first_row", "s"), ("total", "s"), ("memory", "MiB")):
        values = [getattr(run, name) for run in runs]
        median = statistics.median(values)
        print(f"{name:9} {median:8.2f} {unit:3} ({min(values):.2f} to {max(values):.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--pods", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--kubeconfig", type=Path)
    parser.add_argument("--fill", action="store_true")
    parser.add_argument("arguments", nargs="*", help="arguments of gpunode nodes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nodes-") as folder:
        kubeconfig = options.kubeconfig or Path(folder) / "kubeconfig"
        server = None
        if options.kubeconfig is None:
            spawn = multiprocessing.get_context("spawn")
            is_ready = spawn.Event()
            arguments = (options.nodes, options.pods, kubeconfig, is_ready)
            server = spawn.Process(target=serve, args=arguments, daemon=True)
            server.start()
            is_ready.wait()
        elif options.fill:
            fill(kubeconfig, options.nodes, options.pods)
        measure(kubeconfig, options.arguments)  # warms caches of files and of the API server
        report([measure(kubeconfig, options.arguments) for _ in range(options.runs)])
        if server is not None:
            server.terminate()


if __name__ == "__main__":
    main()
