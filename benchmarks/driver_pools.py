"""How long gpu-operator plans the drivers of a large cluster: `python -m benchmarks.driver_pools [NODES]`.

The Nodes have 4 systems, 3 kernels and 2 architectures; each has a driver pod. Prints the median with minimum and maximum of a pass without
changes, in milliseconds, and the size of the status.
"""

import json
import statistics
import sys
import time
from collections.abc import Mapping

from gpu_operator.plan.cluster_plan import ClusterPlan, plan_cluster
from gpu_operator.plan.status import render_status
from gpu_operator.view import OWNER, ClusterView, Obj
from tests.gpu_operator.clusters import IMAGES, NAMESPACE, NOW, applied, driver, node, pod, view

SYSTEMS = ("ubuntu22.04", "ubuntu24.04", "debian12", "sles15.6")
KERNELS = ("5.15.0-105-generic", "6.1.0-18", "6.8.0-50-generic")
ARCHITECTURES = ("amd64", "arm64")
REPEATS = 9


def main(count: int = 5000) -> None:
    nodes = [make_node(index) for index in range(count)]
    drivers = [driver(usePrecompiled=True)]
    pods = [pod(f"n{index}", ready=True) for index in range(count)]
    empty = view(nodes, drivers, (), pods)
    state = view(nodes, drivers, applied(plan(empty)), pods)
    found, status, seconds = plan(state), {}, list[float]()
    for _ in range(REPEATS):
        began = time.perf_counter()
        found = plan(state)
        status = render_status(found.states["default"], drivers[0], now=NOW)
        seconds.append(time.perf_counter() - began)
    assert (found.daemon_sets, found.deletions, found.owners) == ({}, (), {})
    print(f"{count} Nodes: {describe(seconds)} ms, status of {len(json.dumps(status))} bytes")


def plan(state: ClusterView) -> ClusterPlan:
    return plan_cluster(state, NAMESPACE, IMAGES)


def make_node(index: int) -> Obj:
    labels: Mapping[str, str] = {OWNER: "default"}
    system, kernel = SYSTEMS[index % 4], KERNELS[index // 4 % 3]
    return node(f"n{index}", labels, os=system, kernel=kernel, arch=ARCHITECTURES[index // 12 % 2])


def describe(seconds: list[float]) -> str:
    low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
    return f"{middle * 1000:.0f} ({low * 1000:.0f} to {high * 1000:.0f})"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
