"""The wake-ups and the CPU time of the threads of an idle agent.

    .venv/bin/python -m benchmarks.wakeups [seconds] [rounds] [scenario]

Starts `gpunode run` with a simulated API server and kubelet on loopback, and simulated GPUs with NVML events. Ten seconds after the Node
has all results, the script counts voluntary_ctxt_switches and CPU time of each thread in /proc/PID/task, in `rounds` of `seconds`. Prints
medians per second with minimum and maximum.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from benchmarks.figures import spread
from simulation.apiserver import ApiServer
from simulation.kubelet.kubelet import Kubelet
from simulation.kubelet.node_agent import NodeAgent
from simulation.kubelet.node_api import StoreNodeApi

NODE = "bench"
SETTLE = 10.0
PROGRAM = """
import ctypes, runpy, sys, threading
def run(thread, original=threading.Thread._bootstrap):
    ctypes.CDLL(None).prctl(15, thread.name.encode()[:15], 0, 0, 0)
    original(thread)
threading.Thread._bootstrap = run
sys.argv[:] = ["gpunode", *sys.argv[1:]]
runpy.run_module("gpunode", run_name="__main__")
"""
"""gpunode with the names of its threads in /proc, as in Python 3.14. 15: PR_SET_NAME."""
Count = tuple[float, float]
"""Wake-ups, and seconds of CPU time."""


def read_threads(pid: int) -> dict[tuple[int, str], Count]:
    """Returns the counts of each thread since its start."""
    counts: dict[tuple[int, str], Count] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            status = (task / "status").read_text()
            nanoseconds = int((task / "schedstat").read_text().split()[0])
        except OSError:
            continue  # the thread has just ended
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        counts[int(task.name), fields["Name"]] = (int(fields["voluntary_ctxt_switches"]), nanoseconds / 1e9)
    return counts


def measure(pid: int, seconds: float) -> dict[tuple[int, str], Count]:
    """Returns wake-ups and CPU milliseconds per second of each thread. A thread that started meanwhile counts from 0."""
    before = read_threads(pid)
    time.sleep(seconds)
    after = read_threads(pid)
    rates = {}
    for thread, (wakes, cpu) in after.items():
        wakes_before, cpu_before = before.get(thread, (0, 0.0))
        rates[thread] = ((wakes - wakes_before) / seconds, 1000 * (cpu - cpu_before) / seconds)
    return rates


def start(stack: ExitStack, scenario: str) -> "subprocess.Popen[bytes]":
    """Starts `gpunode run` and waits until the Node has all results."""
    # in a subfolder, because the agents also watch the parent folder, and other programs write to /tmp
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gpunode-bench-"))) / "node"
    directory.mkdir()
    server = stack.enter_context(ApiServer())
    server.add_node(NODE)
    server.write_kubeconfig(directory / "kubeconfig")
    kubelet = Kubelet(directory / "dp")
    node_agent = NodeAgent(StoreNodeApi(server.api, NODE), kubelet, NODE)
    for component in (kubelet, node_agent):
        stack.callback(component.stop)
        component.start()
    flags = ["--node-name", NODE, "--kubeconfig", str(directory / "kubeconfig"), "--simulate", scenario]
    flags += ["--lock-dir", str(directory), "--http-address", "127.0.0.1:0", "--cdi-dir", str(directory / "cdi")]
    command = [sys.executable, "-c", PROGRAM, "run", *flags, "--kubelet-socket", str(kubelet.socket)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    while server.store.get("nodes", NODE)["status"]["allocatable"].get("nvidia.com/gpu") is None:
        time.sleep(0.05)
    return process


def main() -> None:
    seconds, rounds, scenario = [*sys.argv[1:], *("10", "3", "h100x8")[len(sys.argv) - 1 :]]
    with ExitStack() as stack:
        process = start(stack, scenario)
        time.sleep(SETTLE)
        by_name: dict[str, list[list[float]]] = defaultdict(lambda: [[0.0, 0.0, 0.0] for _ in range(int(rounds))])
        for number in range(int(rounds)):
            for (_, name), (wakes, cpu) in measure(process.pid, float(seconds)).items():
                for key in (name, "all"):
                    by_name[key][number] = [a + b for a, b in zip(by_name[key][number], (1, wakes, cpu), strict=True)]
    print(f"{os.cpu_count()} CPUs, {rounds} rounds of {seconds} s")
    print(f"{'threads':20} {'number':>6} {'wake-ups a second':>22} {'CPU ms a second':>22}")
    for name, values in sorted(by_name.items(), key=lambda each: -statistics.median(row[1] for row in each[1])):
        counts, wake_ups, times = ([row[index] for row in values] for index in range(3))
        print(f"{name:20} {statistics.median(counts):6.0f} {spread(wake_ups):>22} {spread(times):>22}")


if __name__ == "__main__":
    main()
