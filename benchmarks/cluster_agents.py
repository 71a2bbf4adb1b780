"""Memory and start of gpu-validator and gpu-operator, for `make bench`.

gpu-validator runs as in its pod on a Node with eight GPUs, and omits the checks that need a CUDA driver, device nodes or a runtime.
gpu-operator has the Nodes of a cluster with NODES GPU nodes, and one NVIDIADriver that selects all of them.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.pod import NODE, Bench, Stage, open_stage
from benchmarks.procfs import read_pss
from simulation.apiserver.resources import resource_named
from simulation.apiserver.writes import Target, Writer
from tests.gpu_operator.clusters import driver, node

NODES = 100
NAMESPACE = "gpunode"
DRIVERS, SETS, CONDITION = "nvidiadrivers.nvidia.com", "daemonsets.apps", "GPUValidated"
SETTLE_SECONDS = 5.0


def start_validator(stage: Stage) -> float:
    """Returns the seconds until the Node has the condition."""
    words = stage.flags(
        ("gpu_validator",), "--skip-checks", "device-nodes,cdi,cuda,kubelet,container", "--validations-dir", ""
    )
    began = stage.prepare(words).begin()
    return stage.wait(lambda: CONDITION in conditions(stage)) - began


def conditions(stage: Stage) -> set[str]:
    return {each["type"] for each in stage.server.store.get("nodes", NODE)["status"].get("conditions") or ()}


def start_operator(stage: Stage) -> float:
    """Returns the seconds until the DaemonSet of the drivers exists."""
    labels = node()["metadata"]["labels"]
    for number in range(NODES):
        stage.server.add_node(f"node-{number}", labels=labels)
    create(stage, "namespaces", {"metadata": {"name": NAMESPACE}})
    create(stage, DRIVERS, driver())
    flags = ["--operator-namespace", NAMESPACE, "--driver-manager-image", "image", "--http-address", "127.0.0.1:0"]
    began = stage.prepare(["-m", "gpu_operator", *flags]).begin()
    return stage.wait(lambda: bool(stage.server.store.list(SETS)[0])) - began


def create(stage: Stage, resource: str, obj: Mapping[str, Any]) -> None:
    stage.server.api.create(
        Target(resource=resource_named(resource)), json.loads(json.dumps(obj)), Writer(manager="bench")
    )


PROGRAMS: dict[str, Callable[[Stage], float]] = {"gpu-validator": start_validator, "gpu-operator": start_operator}


def measure_cluster_agents(bench: Bench, runs: int) -> dict[str, list[float]]:
    """Returns the memory at rest in MiB, and the seconds from the start of the process."""
    found: dict[str, list[float]] = {}
    for _ in range(runs):
        for title, start in PROGRAMS.items():
            with open_stage(bench) as stage:
                found.setdefault(f"start {title}", []).append(start(stage))
                time.sleep(SETTLE_SECONDS)
                found.setdefault(f"pss {title}", []).append(sum(read_pss(each.pid) for each in stage.processes))
    return found
