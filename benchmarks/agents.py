"""Start-up time, memory, CPU time and wake-ups of the agents: of each agent, of the three agents, and of `gpunode run`.

Each agent runs as in its pod (pod.py) on a Node with eight H100. The start ends when the kubelet has the devices and the Node has labels.
"""

import time
from collections.abc import Mapping, Sequence

from benchmarks.pod import Bench, Stage, open_stage
from benchmarks.procfs import read_cpu, read_pss, read_switches

GPU, PREFIX = "nvidia.com/gpu", "feature.node.kubernetes.io/"
STACKS: Mapping[str, Sequence[Sequence[str]]] = {
    "nfd-lite": (("nfd_lite",),),
    "gfd": (("gfd",),),
    "gpu-device-plugin": (("device_plugin",),),
    "the three": (("nfd_lite",), ("gfd",), ("device_plugin",)),
    "gpunode run": (("gpunode", "run"),),
}
LABELS: Mapping[str, tuple[str, ...]] = {
    "nfd-lite": (f"{PREFIX}system-os_release.ID",),
    "gfd": (f"{GPU}.count",),
    "the three": (f"{PREFIX}system-os_release.ID", f"{GPU}.count"),
    "gpunode run": (f"{PREFIX}system-os_release.ID", f"{GPU}.count"),
}
"""The labels that the Node has when an agent has published all of its labels."""
MEASURED_AT_REST = ("gpu-device-plugin", "gpunode run")
HAS_DEVICES = ("gpu-device-plugin", "the three", "gpunode run")
SETTLE_SECONDS = 15.0
"""On a slow machine the agents work for some seconds after their start."""


def start_stack(stage: Stage, title: str) -> dict[str, float]:
    """Starts the agents. Returns the seconds until Register, and until the labels are on the Node."""
    processes = [stage.prepare(stage.flags(module)) for module in STACKS[title]]
    began = min([process.begin() for process in processes])
    times: dict[str, float] = {}

    def is_done() -> bool:
        now = time.perf_counter() - began
        if title in HAS_DEVICES and GPU in stage.kubelet.registered:
            times.setdefault("register", now)
        if title in LABELS and stage.labels.keys() >= set(LABELS[title]):
            times.setdefault("label", now)
        return len(times) == (title in HAS_DEVICES) + (title in LABELS)

    stage.wait(is_done)
    return times


def measure_starts(bench: Bench, runs: int) -> dict[str, list[float]]:
    """Returns the seconds from the start of each process."""
    found: dict[str, list[float]] = {}
    for _ in range(runs):
        for title in STACKS:
            with open_stage(bench) as stage:
                for what, seconds in start_stack(stage, title).items():
                    found.setdefault(f"{what} {title}", []).append(seconds)
    return found


def measure_rest(bench: Bench, runs: int, seconds: float) -> dict[str, list[float]]:
    """Returns the memory of each program, and the CPU time and wake-ups of MEASURED_AT_REST while nothing changes."""
    found: dict[str, list[float]] = {}
    for _ in range(runs):
        for title in STACKS:
            with open_stage(bench) as stage:
                start_stack(stage, title)
                time.sleep(SETTLE_SECONDS)
                pids = [process.pid for process in stage.processes]
                if title in MEASURED_AT_REST:
                    cpu, wakeups = measure_idle(pids, seconds)
                    found.setdefault(f"cpu {title}", []).append(cpu)
                    found.setdefault(f"wakeups {title}", []).append(wakeups)
                found.setdefault(f"pss {title}", []).append(sum(map(read_pss, pids)))
    return found


def measure_idle(pids: Sequence[int], seconds: float) -> tuple[float, float]:
    """Returns CPU milliseconds and voluntary context switches per second."""
    cpu, switches = sum(map(read_cpu, pids)), sum(map(read_switches, pids))
    time.sleep(seconds)
    return 1000 * (sum(map(read_cpu, pids)) - cpu) / seconds, (sum(map(read_switches, pids)) - switches) / seconds
