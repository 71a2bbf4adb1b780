"""Runs all agents in one process while everything around them changes, and checks that they do not grow: `make soak`.

    sudo .venv/bin/python -m benchmarks.soak [seconds] [folder]

`gpunode run --with-mig-manager` with metrics of GPUs runs as in its pod, on a Node with eight simulated GPUs. Labels of others, rules,
MIG layouts, Xids, the health of GPUs and pods change all the time; the kubelet and the API server restart. Writes the memory, the threads
and the open files to soak.json, after each sample, and soak.svg in the folder (build). Fails if one of them grows from the second to the
last third of the time, or if the agents do not report the last changes at the end. The first third fills the pools of the interpreter.
"""

import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.exporter import RUN, Node, free_port, scrape
from benchmarks.plot import render_lines
from benchmarks.pod import NODE, Stage, open_bench, open_stage
from benchmarks.procfs import count_files, count_threads, read_pss
from benchmarks.saved import describe_machine, prepare_folder, save_results
from simulation.apiserver.resources import resource_named
from simulation.apiserver.writes import Target, Writer

DEFAULT_SECONDS = 600.0
STEP_SECONDS = 0.5
LIMITS = {"memory, MiB": 4.0, "threads": 3.0, "open files": 3.0}
"""Series -> the highest growth from the second to the last third."""
END_SECONDS = 60.0
OUTAGE_SECONDS = 2.0
Series = Mapping[str, Sequence[float]]
Save = Callable[[Sequence[float], Series], None]
"""Saves the times of the samples in seconds, and the values of each series at these times."""
RULES = resource_named("nodefeaturerules.nfd.k8s-sigs.io")
MIG_LABEL, RULE_LABEL = "nvidia.com/mig.config", "feature.node.kubernetes.io/soak"
LAYOUTS = {"small": {"1g.10gb": 7}, "large": {"3g.40gb": 2}}
CONFIGS = {
    name: [{"devices": [4, 5, 6, 7], "mig-enabled": True, "mig-devices": devices}] for name, devices in LAYOUTS.items()
}


def render_scenario(seconds: float) -> str:
    """Returns eight GPUs, four of them with MIG devices, whose health and Xids change for this time."""
    board = {"model": "NVIDIA H100 80GB HBM3", "count": 4, "memory": "81559Mi", "compute": "9.0", "device_id": "2330"}
    faults: list[dict[str, Any]] = []
    for step in range(int(seconds / 10)):
        at, gpu = 10 + 10 * step, step % 8
        faults.append({"at": at, "gpu": gpu, "kind": "xid", "code": 13, "times": 100, "per_second": 100})
        faults.append({"at": at + 3, "for": 3, "gpu": (gpu + 3) % 8, "kind": "recovery", "action": "reset"})
    mig = {**board, "mig": {"mode": "enabled", "instances": ["1g.10gb"] * 7}}
    return json.dumps({"driver": {"version": "550.54.15", "cuda": "12.4"}, "gpus": [board, mig], "faults": faults})


class Churn:
    """The changes around the agents. step: the number of the half second."""

    def __init__(self, stage: Stage, pods: Node, port: int) -> None:
        self._stage, self._pods, self._port = stage, pods, port
        self._chance = random.Random(1)
        self.layout, self.rule = "small", ""

    def change(self, step: int) -> None:
        """Makes the changes of a step."""
        periods: Sequence[tuple[int, Callable[[int], None]]] = (
            (1, self._replace_pods), (2, self._label), (7, self._write_rule), (20, self._change_mig), (60, self._restart_kubelet),
            (100, self._restart_api_server), (2, self._scrape),
        )  # fmt: skip
        for period, change in periods:
            if step % period == 0:
                change(step)

    def _replace_pods(self, step: int) -> None:
        self._pods.replace_pods(step, 2, self._chance)

    def _label(self, step: int) -> None:
        """Another client changes a label of its own, and one that gfd publishes."""
        self.set_labels(
            {"team": str(step), "nvidia.com/gpu.machine": f"wrong-{step}"} if step % 20 == 0 else {"team": str(step)}
        )

    def set_labels(self, labels: Mapping[str, str]) -> None:
        def change(node: dict[str, Any]) -> dict[str, Any]:
            metadata = node["metadata"]
            return {**node, "metadata": {**metadata, "labels": {**metadata["labels"], **labels}}}

        self._stage.server.store.mutate("nodes", NODE, change)

    def _write_rule(self, step: int) -> None:
        """Replaces the rule by one with another value."""
        if self.rule:
            self._stage.server.api.delete(Target(resource=RULES, name="soak"))
        self.rule = str(step)
        match = [{"feature": "kernel.version", "matchExpressions": {"major": {"op": "Exists"}}}]
        spec = {"rules": [{"name": "all", "labels": {"soak": self.rule}, "matchFeatures": match}]}
        self._stage.server.api.create(
            Target(resource=RULES), {"metadata": {"name": "soak"}, "spec": spec}, Writer(manager="kubectl")
        )

    def _change_mig(self, _: int) -> None:
        self.layout = "large" if self.layout == "small" else "small"
        self.set_labels({MIG_LABEL: self.layout})

    def _restart_kubelet(self, _: int) -> None:
        self._stage.kubelet.restart()

    def _restart_api_server(self, step: int) -> None:
        if step:
            self._stage.server.stop()
            time.sleep(OUTAGE_SECONDS)
            self._stage.server.start()

    def _scrape(self, _: int) -> None:
        try:
            scrape(self._port)
        except OSError:
            return  # the port is not open yet

    def is_reported(self) -> bool:
        """Whether the Node and the kubelet have the last changes."""
        ((profile, count),) = LAYOUTS[self.layout].items()
        devices = self._stage.kubelet.device_health(f"nvidia.com/mig-{profile}")
        return self._stage.labels.get(RULE_LABEL) == self.rule and len(devices) == 4 * count


def measure_growth(values: Sequence[float]) -> float:
    """Returns the difference of the medians of the last and the second third."""
    third = len(values) // 3
    return statistics.median(values[-third:]) - statistics.median(values[third : 2 * third]) if third else 0.0


def find_problems(series: Series) -> list[str]:
    """Returns a sentence for each series that grows."""
    return [
        f"{name}: the median of the last third is {growth:.2f} above that of the second; at most {LIMITS[name]} are allowed"
        for name, values in series.items()
        if (growth := measure_growth(values)) > LIMITS[name]
    ]


def soak(
    stage: Stage, scenario: Path, seconds: float, save: Save
) -> tuple[list[float], dict[str, list[float]], list[str]]:
    """Returns the times and the values of the samples, and the problems. Saves the samples during the run."""
    pods = Node(stage.folder, [f"GPU-other-{number}" for number in range(8)])
    pods.start()
    try:
        return run_changes(stage, scenario, seconds, pods, save)
    finally:
        pods.stop()


def run_changes(
    stage: Stage, scenario: Path, seconds: float, pods: Node, save: Save
) -> tuple[list[float], dict[str, list[float]], list[str]]:
    configs = stage.folder / "mig.yaml"
    configs.write_text(json.dumps({"version": "v1", "mig-configs": CONFIGS}))
    port = free_port()
    process = stage.prepare(stage.flags(
        RUN, "--simulate", str(scenario), "--mig-strategy=mixed", "--with-mig-manager", "--mig-config-file", str(configs),
        "--state-dir", str(stage.folder), "--pod-resources-kubelet-socket", str(pods.socket), f"--address=127.0.0.1:{port}",
        "--collect-interval=1000", "--sleep-interval=5s",
    ))  # fmt: skip
    process.begin()
    churn, times, series = Churn(stage, pods, port), list[float](), {name: list[float]() for name in LIMITS}
    stage.wait(lambda: len(stage.kubelet.device_health("nvidia.com/mig-1g.10gb")) == 28)
    began = time.monotonic()
    for step in range(int(seconds / STEP_SECONDS)):
        churn.change(step)
        if process.popen.poll() is not None:
            raise SystemExit(f"the agents have ended:\n{process.log.read_text()[-3000:]}")
        if step % max(1, int(seconds / STEP_SECONDS / 120)) == 0:
            times.append(time.monotonic() - began)
            for name, read in (("memory, MiB", read_pss), ("threads", count_threads), ("open files", count_files)):
                series[name].append(read(process.pid))
            save(times, series)
        time.sleep(max(0.0, began + (step + 1) * STEP_SECONDS - time.monotonic()))
    problems = find_problems(series)
    deadline = time.monotonic() + END_SECONDS
    while not churn.is_reported() and time.monotonic() < deadline:
        time.sleep(0.1)
    if not churn.is_reported():
        problems.append(
            f"the last changes are not reported after {END_SECONDS:.0f} s\n{process.log.read_text()[-3000:]}"
        )
    return times, series, problems


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_SECONDS
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else "build")
    prepare_folder(folder)
    machine = describe_machine()

    def save(times: Sequence[float], series: Series, *, is_complete: bool = False) -> None:
        save_results(folder / "soak.json", {"machine": machine, "complete": is_complete, "seconds": times, **series})

    with open_bench() as bench:
        scenario = bench.folder / "soak.yaml"
        scenario.write_text(render_scenario(seconds))
        with open_stage(bench, str(scenario)) as stage:
            times, series, problems = soak(stage, scenario, seconds, save)
    save(times, series, is_complete=True)
    (folder / "soak.svg").write_text(render_lines(f"All agents during {seconds:.0f} s of changes", times, series))
    for name, values in series.items():
        shown = f"{min(values):.1f} to {max(values):.1f}, growth {measure_growth(values):+.2f} (at most {LIMITS[name]})"
        print(f"{name:12} {shown}")
    if problems:
        raise SystemExit("\n".join(problems))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
