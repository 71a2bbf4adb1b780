"""The times in which an agent publishes its results and ends, and its memory.

    .venv/bin/python benchmarks/life_of_an_agent.py [runs]

Starts each program as a process with a simulated API server and kubelet on loopback, and eight simulated H100. Prints medians with minimum
and maximum: seconds from the start of the process until the Node has its results, resident memory (VmRSS) at this time, and seconds from
SIGTERM to the end.
"""

import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from simulation.apiserver import ApiServer
from simulation.kubelet.kubelet import Kubelet
from simulation.kubelet.node_agent import NodeAgent
from simulation.kubelet.node_api import StoreNodeApi

NODE = "bench"
PROGRAMS = {
    "nfd-lite": (["nfd_lite"], lambda node: "nvidia.com/gpu.present" in node["metadata"]["labels"]),
    "gfd": (["gfd"], lambda node: "nvidia.com/gpu.count" in node["metadata"]["labels"]),
    "gpu-device-plugin": (["device_plugin"], lambda node: node["status"]["allocatable"].get("nvidia.com/gpu") == "8"),
    "gpunode run": (
        ["gpunode", "run"],
        lambda node: (
            "nvidia.com/gpu.count" in node["metadata"]["labels"]
            and node["status"]["allocatable"].get("nvidia.com/gpu") == "8"
        ),
    ),
}
Done = Callable[[dict], bool]


def live_once(module: list[str], done: Done) -> tuple[float, float, float]:
    """Returns seconds to the results, MiB at this time, and seconds to the end."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gpunode-bench-")))
        server = stack.enter_context(ApiServer())
        gate = {"nvidia.com/gpu.present": "true"} if module == ["device_plugin"] else {}
        server.add_node(NODE, labels=gate)
        server.write_kubeconfig(directory / "kubeconfig")
        kubelet = Kubelet(directory / "dp")
        node_agent = NodeAgent(StoreNodeApi(server.api, NODE), kubelet, NODE)
        for component in (kubelet, node_agent):
            stack.callback(component.stop)
            component.start()
        start = time.perf_counter()
        process = subprocess.Popen(command(module, directory, kubelet.socket), stderr=subprocess.DEVNULL)
        while not done(server.store.get("nodes", NODE)):
            time.sleep(0.002)
        ready = time.perf_counter() - start
        status = Path(f"/proc/{process.pid}/status").read_text()
        memory = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024
        stop = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        process.wait()
        return ready, memory, time.perf_counter() - stop


def command(module: list[str], directory: Path, socket: Path) -> list[str]:
    flags = ["--node-name", NODE, "--kubeconfig", str(directory / "kubeconfig"), "--simulate", "h100x8"]
    flags += ["--lock-dir", str(directory), "--http-address", "127.0.0.1:0"]
    flags += ["--kubelet-socket", str(socket)] if module[0] in ("device_plugin", "gpunode") else []
    return [sys.executable, "-m", *module, *flags]


def spread(values: tuple[float, ...], unit: str) -> str:
    return f"{statistics.median(values):6.2f} {unit} ({min(values):.2f}..{max(values):.2f})"


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(f"{'program':18} {'start to done':24} {'memory':26} SIGTERM to end")
    for name, (module, done) in PROGRAMS.items():
        ready, memory, end = zip(*(live_once(module, done) for _ in range(runs)), strict=True)
        print(f"{name:18} {spread(ready, 's'):24} {spread(memory, 'MiB'):26} {spread(end, 's')}")


if __name__ == "__main__":
    main()
