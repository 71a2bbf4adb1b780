"""The time until the kubelet has the devices again after its restart, a deleted socket, or the end of the plugin."""

import signal
import time
from collections.abc import Callable

from benchmarks.agents import GPU
from benchmarks.calls import find_socket
from benchmarks.pod import Bench, Stage, open_stage

SETTLE_SECONDS = 0.5
PLUGIN = ("device_plugin",)


def restart_kubelet(stage: Stage) -> float:
    stage.kubelet.stop()
    began = time.perf_counter()
    stage.kubelet.start()
    return began


def delete_socket(stage: Stage) -> float:
    began = time.perf_counter()
    find_socket(stage).unlink()
    return began


def kill_plugin(stage: Stage) -> float:
    """Kills the plugin, and starts another one as a kubelet would. The pod is prepared, because its creation is not the plugin's."""
    following = stage.prepare(stage.flags(PLUGIN))
    stage.processes.pop(0).end(signal.SIGKILL)
    return following.begin()


EVENTS: dict[str, Callable[[Stage], float]] = {
    "kubelet restart": restart_kubelet,
    "socket deleted": delete_socket,
    "agent killed": kill_plugin,
}
"""Each returns the time at which it happened."""


def measure_recovery(bench: Bench, runs: int) -> dict[str, list[float]]:
    """Returns the seconds until the plugin has registered again and the kubelet has its devices."""
    found: dict[str, list[float]] = {}
    with open_stage(bench) as stage:
        stage.start(PLUGIN)
        stage.wait(lambda: len(stage.kubelet.device_health(GPU)) == 8)
        for _ in range(runs):
            for name, happen in EVENTS.items():
                time.sleep(SETTLE_SECONDS)
                before = stage.kubelet.registered[GPU]
                began = happen(stage)
                ended = stage.wait(
                    lambda: stage.kubelet.registered[GPU] > before and len(stage.kubelet.device_health(GPU)) == 8  # noqa: B023
                )
                found.setdefault(f"recovery {name}", []).append(ended - began)
    return found
