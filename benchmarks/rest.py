"""The requests of `gpunode run` in an hour in which nothing changes, and the bytes that it adds to the Node in addition to labels.

The hour is shortened: watches and the time between two passes are shorter by a factor. Back-off and rate limits are not.
"""

import json
import math
import time
from typing import Any

from benchmarks.agents import GPU
from benchmarks.pod import NODE, Bench, Stage, open_stage

HOUR, WATCH_SECONDS, WATCH_SPREAD_SECONDS, PASS_SECONDS = 3600.0, 540, 60, 60
PROGRAM = """
import runpy, sys
import node_core.kube.informer as informer
informer.WATCH_SECONDS, informer.WATCH_SPREAD_SECONDS = {seconds}, {spread}
sys.argv[:] = ["gpunode", *sys.argv[1:]]
runpy.run_module("gpunode", run_name="__main__")
"""
MANAGERS = ("nfd-lite", "gfd", "gpu-device-plugin")
SETTLE_SECONDS = 5.0


def measure_hour(bench: Bench, seconds: float) -> dict[str, list[float]]:
    """Returns writes, reads that start anew, watches that continue, and bytes. seconds: the duration of the shortened hour."""
    factor = HOUR / seconds
    with open_stage(bench) as stage:
        before = stage.server.store.get("nodes", NODE)
        flags = [*stage.flags(("gpunode", "run"))[2:], "--sleep-interval", f"{max(1.0, PASS_SECONDS / factor):g}s"]
        watch = max(2, round(WATCH_SECONDS / factor))
        program = PROGRAM.format(seconds=watch, spread=max(1, math.ceil(WATCH_SPREAD_SECONDS / factor)))
        stage.prepare(["-c", program, *flags]).begin()
        stage.wait(lambda: GPU in stage.kubelet.registered and f"{GPU}.count" in stage.labels)
        time.sleep(SETTLE_SECONDS)
        stage.server.forget_requests()
        time.sleep(seconds)
        return count_requests(stage) | count_bytes(before, stage.server.store.get("nodes", NODE))


def count_requests(stage: Stage) -> dict[str, list[float]]:
    requests = stage.server.requests
    reads = sum(count for (verb, _), count in requests.items() if verb in ("get", "list"))
    renewals = sum(count for (verb, _), count in requests.items() if verb == "watch")
    return {"writes": [float(stage.server.writes)], "reads": [float(reads)], "renewals": [float(renewals)]}


def count_bytes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, list[float]]:
    """Returns the bytes of JSON, which etcd also has, that the agents add to a Node in addition to labels, and their parts. PURE.

    The parts are the names of labels in managedFields, the rest of the agents' entries there, annotations, and the condition GPUReady.
    """
    metadata, known = after["metadata"], before["metadata"].get("annotations") or {}
    entries = [each for each in metadata.get("managedFields") or () if each["manager"] in MANAGERS]
    labels = [each["fieldsV1"].get("f:metadata", {}).get("f:labels", {}) for each in entries]
    names = sum(_size(name) + len(":{},") for each in labels for name in each)
    parts = {
        "bytes names": names,
        "bytes fields": sum(map(_size, entries)) - names,
        "bytes annotations": _size({k: v for k, v in (metadata.get("annotations") or {}).items() if k not in known}),
        "bytes condition": sum(_size(each) for each in after["status"]["conditions"] if each["type"] == "GPUReady"),
    }
    return {key: [float(count)] for key, count in {"bytes": sum(parts.values()), **parts}.items()}


def _size(value: object) -> int:
    """Returns the bytes of JSON. An empty value has none."""
    return len(json.dumps(value, separators=(",", ":"))) if value else 0
