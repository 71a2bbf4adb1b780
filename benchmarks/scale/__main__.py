"""Runs the agents of many nodes against a real API server, and checks what they do to it: `make scale`.

    .venv/bin/python -m benchmarks.scale [--nodes 500] [--workers 2] [--hour SECONDS] [--folder FOLDER]

Prints for each phase: requests by verb, requests that the API server refused (429), latency, bytes, memory, the highest rate of requests,
and the time until each Node has its labels. Prints the progress to standard error, and writes the phases that have ended to scale.json in
the folder. Ends with status 1 if a label is lost, or an agent sends more requests than it must.
"""

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import structlog

from benchmarks.figures import percentile
from benchmarks.saved import describe_machine, prepare_folder, save_results
from benchmarks.scale.api_metrics import WRITES, Series, Work, count_watches, parse_metrics, subtract
from benchmarks.scale.control_plane import ControlPlane, open_control_plane
from benchmarks.scale.fleet import Place
from benchmarks.scale.workers import Workers, open_workers
from node_core.errors import KubeError

RULE = "scale"
GFD, NFD = "nvidia.com/gpu.count", "feature.node.kubernetes.io/system-os_release.ID"
MATCH = [{"feature": "kernel.version", "matchExpressions": {"major": {"op": "Exists"}}}]
PASSES = 10
"""Passes of each agent in the shortened hour. In an hour there are 60; a pass without a change sends nothing."""
RENEWALS_PER_SECOND = 200.0
WATCHES_OF_NODE = 2
"""Watches of a node in a cluster without OpenShift: its Node and the NodeFeatureRules."""
HOUR = 3600.0
RATE_SECONDS = 1.0
PROGRESS_SECONDS = 15.0
PROGRESS_NODES = 500
POLL_SECONDS = 0.1
DOWN_SECONDS = 3.0
STARTS_PER_SECOND = 20.0
RESTARTING = 100
"""Highest number of Nodes whose agents restart at the same time."""
IMAGES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """seconds: until all nodes have their labels. peak: the highest number of requests in a second. memory: MiB by program.

    delays: median, 99th percentile and maximum of the seconds from a change of a rule until the watch of a Node reports its label.
    problems: one sentence for each check that failed.
    """

    title: str
    seconds: float
    work: Work
    peak: float
    memory: Mapping[str, float]
    delays: tuple[float, float, float] | None = None
    problems: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Run:
    """hour: seconds of the shortened hour. file: of the results."""

    plane: ControlPlane
    workers: Workers
    nodes: int
    hour: float
    file: Path
    machine: Mapping[str, str]
    phases: list[Phase] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)

    @contextmanager
    def phase(self, title: str, check: Callable[[Work], Iterator[str]], *, is_restart: bool = False) -> Iterator[None]:
        """Measures a phase, which ends when its work is done. is_restart: the counts of the API server start again."""
        before: Series = {} if is_restart else parse_metrics(self.plane.metrics())
        self.delays = []
        show_progress(f"{title} ...")
        began = time.monotonic()
        with sampled_rate(self.plane) as rates:
            yield
            seconds = time.monotonic() - began
        work = subtract(parse_metrics(self.plane.metrics()), before)
        lost = self.count_lost()
        problems = [*check(work), *([f"{lost} of {self.nodes} Nodes lack labels"] if lost else [])]
        self.phases.append(Phase(
            title=title, seconds=seconds, work=work, peak=max(rates, default=0.0), memory=self.plane.memory(),
            delays=summarise(self.delays), problems=tuple(problems),
        ))  # fmt: skip
        print(render_phase(self.phases[-1]), flush=True)
        self.save(is_complete=False)

    def save(self, *, is_complete: bool) -> Mapping[str, Any]:
        """Saves what has been measured, and returns it."""
        memory, threads = self.workers.memory()
        results = {
            "machine": self.machine, "complete": is_complete, "nodes": self.nodes, "hour": self.hour, "agents": memory,
            "threads": threads, "etcd": self.plane.database_bytes() / 2**20, "phases": [to_json(phase) for phase in self.phases],
        }  # fmt: skip
        save_results(self.file, results)
        return results

    def count_lost(self) -> int:
        """Returns the number of Nodes in the cluster without the labels of one of the agents."""
        return sum(not {GFD, NFD} <= labels.keys() for labels in self.labels())

    def labels(self) -> Iterator[Mapping[str, str]]:
        token = ""
        while True:
            page = self.plane.admin.request("GET", "/api/v1/nodes", query={"limit": "500", "continue": token})
            yield from (item["metadata"]["labels"] for item in page["items"])
            token = page["metadata"].get("continue", "")
            if not token:
                return

    def wait(self, method: str, *arguments: Any) -> None:
        """Waits until a method of all fleets returns True."""
        while not all(self.workers.call(method, *arguments)):
            time.sleep(POLL_SECONDS)

    def wait_for_label(self, value: str | None, since: float) -> None:
        """Waits until each node has this value of the label of the rule. Records the delays from the time of the change."""
        self.wait("is_labelled", value)
        self.delays = [delay for fleet in self.workers.call("delays", since) for delay in fleet]


@contextmanager
def sampled_rate(plane: ControlPlane) -> Iterator[list[float]]:
    """Samples the number of requests per second, and prints it at times."""
    rates, done = list[float](), threading.Event()
    began = time.monotonic()

    def sample() -> None:
        before: int | None = None
        at = shown_at = began
        while not done.wait(RATE_SECONDS):
            now: int | None = None
            with suppress(KubeError):  # the API server is restarting
                now = sum(subtract(parse_metrics(plane.metrics()), {}).requests.values())
            rate = find_rate(before, now, time.monotonic() - at)
            rates.extend([] if rate is None else [rate])
            before, at = now, time.monotonic()
            if at - shown_at >= PROGRESS_SECONDS:
                shown_at = at
                show_progress(render_progress(at - began, now, rate))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield rates
    finally:
        done.set()
        thread.join()


def find_rate(before: int | None, now: int | None, seconds: float) -> float | None:
    """Returns the requests per second between two counts of the API server. None without an API server, or after its restart."""
    return None if before is None or now is None or now < before else (now - before) / seconds


def render_progress(seconds: float, count: int | None, rate: float | None) -> str:
    """seconds: since the phase began. count: all requests since the API server started, None if it does not answer."""
    requests = "the API server does not answer" if count is None else f"{count} requests"
    return f"  {seconds:.0f} s: {requests}{'' if rate is None else f', {rate:.0f} in the last second'}"


def show_progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def summarise(delays: Sequence[float]) -> tuple[float, float, float] | None:
    """Returns median, 99th percentile and maximum."""
    return (percentile(delays, 0.5), percentile(delays, 0.99), max(delays)) if delays else None


def render_phase(phase: Phase) -> str:
    delays = phase.delays
    verbs = ", ".join(f"{count} {verb}" for verb, count in sorted(phase.work.by_verb.items()))
    latency = ", ".join(f"{verb} {p50:g} and {p99:g}" for verb, (p50, p99) in sorted(phase.work.latency.items()))
    memory = ", ".join(f"{name} {mib:.0f} MiB" for name, mib in phase.memory.items())
    lines = [
        f"{phase.title}: {phase.seconds:.1f} s",
        f"  requests: {verbs or 'none'}; refused with 429: {phase.work.count(status='429')}; at most {phase.peak:.0f} in a second",
        f"  latency below, median and p99, s: {latency or '-'}",
        *(
            [f"  until a Node has the change: median {delays[0]:.2f}, p99 {delays[1]:.2f}, at most {delays[2]:.2f} s"]
            if delays
            else []
        ),
        f"  {phase.work.received / 2**20:.1f} MiB sent by the API server; {memory}",
        *(f"  FAILED: {problem}" for problem in phase.problems),
    ]
    return "\n".join(lines)


def at_most(work: Work, verbs: frozenset[str], limit: int, what: str) -> Iterator[str]:
    """Yields a problem if more requests succeeded than necessary."""
    count = work.count(verbs=verbs, status="2")
    if count > limit:
        yield f"{count} {what} in place of at most {limit}"


LIST = frozenset({"LIST"})


def run_phases(run: Run, start: float) -> None:
    """Runs all phases. start: seconds in which the agents start."""
    nodes, hour = run.nodes, run.hour
    with run.phase(
        f"first labels of {nodes} Nodes, whose agents start within {start:.0f} s",
        lambda work: at_most(work, WRITES, 2 * nodes, "writes"),
    ):
        run.workers.call("start", start)
        run.wait("is_published")
    restarting = max(1, min(nodes // 10, RESTARTING))
    with run.phase(
        f"all agents restart, {restarting} Nodes at a time", lambda work: at_most(work, WRITES, 0, "writes")
    ):
        run.workers.call("restart", max(1, restarting // len(run.workers)))
        run.wait("is_published")
    with run.phase("a rule adds a label to every Node", lambda work: at_most(work, WRITES, nodes + 1, "writes")):
        since = time.monotonic()
        add_rule(run.plane)
        run.wait_for_label("true", since)
    with run.phase("the rule is deleted", lambda work: at_most(work, WRITES, nodes + 1, "writes")):
        since = time.monotonic()
        run.plane.admin.request("DELETE", f"/apis/nfd.k8s-sigs.io/v1alpha1/nodefeaturerules/{RULE}")
        run.wait_for_label(None, since)
    with run.phase("etcd is compacted", lambda work: at_most(work, WRITES | LIST, 0, "writes and lists")):
        run.plane.compact()
        time.sleep(DOWN_SECONDS)
    run.workers.call("shorten_watches", max(2, round(540 * hour / HOUR)), max(2, round(60 * hour / HOUR)))
    run.plane.stop_api_server()
    time.sleep(DOWN_SECONDS)
    with run.phase(
        f"the API server returns after {DOWN_SECONDS:.0f} s, and all agents connect again",
        lambda work: at_most(work, WRITES, 0, "writes"),
        is_restart=True,
    ):
        run.plane.start_api_server()
        wait_for_watches(run)
    with run.phase(f"an hour without changes, in {hour:.0f} s", check_rest):
        run.workers.call("rest", hour, PASSES)


def check_rest(work: Work) -> Iterator[str]:
    yield from at_most(work, WRITES, 0, "writes")
    yield from at_most(work, LIST, 0, "lists")


def wait_for_watches(run: Run) -> None:
    """Waits until the API server has a watch of each Node, and of the rules by each agent."""
    while True:
        series = parse_metrics(run.plane.metrics())
        if min(count_watches(series, "nodes"), count_watches(series, "nodefeaturerules")) >= run.nodes:
            return
        time.sleep(0.5)


def add_rule(plane: ControlPlane) -> None:
    spec = {"rules": [{"name": "all", "labels": {"scale": "true"}, "matchFeatures": MATCH}]}
    rule = {
        "apiVersion": "nfd.k8s-sigs.io/v1alpha1",
        "kind": "NodeFeatureRule",
        "metadata": {"name": RULE},
        "spec": spec,
    }
    plane.create("/apis/nfd.k8s-sigs.io/v1alpha1/nodefeaturerules", rule)


def add_nodes(plane: ControlPlane, names: list[str]) -> None:
    """Creates Nodes with the status of a kubelet."""
    images = [
        {"names": [f"registry.example.com/team/image-{number}@sha256:{number:064}"], "sizeBytes": 10**9}
        for number in range(IMAGES)
    ]
    status = {"capacity": {"cpu": "192", "memory": "2113Gi", "pods": "110"}, "images": images}

    def add(name: str) -> None:
        plane.create(
            "/api/v1/nodes", {"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}, "status": status}
        )

    with ThreadPoolExecutor(8) as executor:
        for number, _ in enumerate(executor.map(add, names), start=1):
            if number % PROGRESS_NODES == 0:
                show_progress(f"  {number} of {len(names)} Nodes are created")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--hour", type=float, help="seconds of the shortened hour; default: from the number of nodes")
    parser.add_argument("--folder", type=Path, default=Path("build"))
    options = parser.parse_args()
    prepare_folder(options.folder)
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)
    )  # the programs outlive this process otherwise
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    renewals = options.nodes * WATCHES_OF_NODE * HOUR / 570
    hour = options.hour or max(30.0, renewals / RENEWALS_PER_SECOND)
    names = [f"node-{number:05}" for number in range(options.nodes)]
    machine = describe_machine()
    show_progress("starting etcd and the API server ...")
    with open_control_plane() as plane:
        add_nodes(plane, names)
        print(
            f"{options.nodes} Nodes; {', '.join(f'{name} {mib:.0f} MiB' for name, mib in plane.memory().items())}",
            flush=True,
        )
        place = Place(url=plane.url, account=plane.account)
        with open_workers(place, names, options.workers) as workers:
            run = Run(
                plane=plane, workers=workers, nodes=options.nodes, hour=hour, file=options.folder / "scale.json", machine=machine
            )  # fmt: skip
            run_phases(run, start=options.nodes / STARTS_PER_SECOND)
            results = run.save(is_complete=True)
    print(f"agents: {results['agents']:.0f} MiB and {results['threads']} threads in {options.workers} processes")
    print(f"etcd: {results['etcd']:.0f} MiB in use")
    sys.exit(any(phase.problems for phase in run.phases))


def to_json(phase: Phase) -> dict[str, Any]:
    work = {
        "by_verb": phase.work.by_verb,
        "refused": phase.work.count(status="429"),
        "received": phase.work.received,
        "latency": phase.work.latency,
    }
    return {**{key: value for key, value in asdict(phase).items() if key != "work"}, **work}


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
