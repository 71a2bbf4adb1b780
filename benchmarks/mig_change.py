"""The time from a new MIG config of one GPU of eight until the kubelet has the new resources.

    .venv/bin/python -m benchmarks.mig_change [runs]

mig-manager, gpu-device-plugin, and simulated NVML, kubelet and API server run in one process. Prints the median with minimum and maximum,
in seconds from the write of the label, and how many devices of the other GPUs have kept their UUIDs.
"""

import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import structlog

from simulation.apiserver import ApiServer
from simulation.kubelet.kubelet import Kubelet
from tests.mig_manager.test_process import NODE, SCENARIO, Place

SMALL, LARGE = "nvidia.com/mig-1g.10gb", "nvidia.com/mig-3g.40gb"
CONFIGS = """
version: v1
mig-configs:
  one-gpu:
  - {devices: [0, 1, 2, 4, 5, 6, 7], mig-enabled: true, mig-devices: {1g.10gb: 7}}
  - {devices: [3], mig-enabled: true, mig-devices: {3g.40gb: 2}}
"""
POLL = 0.002


def wait_for(kubelet: Kubelet, small: int, large: int) -> None:
    while (len(kubelet.device_health(SMALL)), len(kubelet.device_health(LARGE))) != (small, large):
        time.sleep(POLL)


def measure(clock: Callable[[], float] = time.monotonic) -> tuple[float, int, int]:
    """Returns the seconds, the devices of other GPUs that stayed, and their number."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mig-", ignore_cleanup_errors=True)))
        server = stack.enter_context(ApiServer())
        server.add_node(NODE)
        place = Place(folder, server, stack)
        (folder / "scenario.yaml").write_text(SCENARIO.format(folder=folder).replace("count: 2", "count: 8"))
        (folder / "mig.yaml").write_text(CONFIGS)
        place.serve_pods()
        kubelet = place.start_kubelet()
        place.label("all-1g.10gb")
        place.start("--config-file", str(folder / "mig.yaml"))
        place.start_plugin(kubelet)
        wait_for(kubelet, 56, 0)
        place.wait_for("success", "Applied")
        before, began = set(kubelet.device_health(SMALL)), clock()
        place.label("one-gpu")
        wait_for(kubelet, 49, 2)
        seconds, after = clock() - began, set(kubelet.device_health(SMALL))
        return seconds, len(before & after), len(after)


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    runs = [measure() for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 5)]
    seconds = [each[0] for each in runs]
    print(f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")
    print(f"{min(each[1] for each in runs)} of {runs[0][2]} devices of the other GPUs have kept their UUIDs")


if __name__ == "__main__":
    main()
