"""How long it takes until kubelet and Node say what has happened to a GPU.

    .venv/bin/python benchmarks/reaction.py [count] [seconds between looks]

gfd and gpu-device-plugin in one process, with the stand-ins for NVML, kubelet and API server in the same one, each change at a random
moment. Prints for each kind of change the median, 90th and 99th percentile and maximum, in seconds from the change until the kubelet has
it by ListAndWatch, and until the Node has it: a label, or the condition GPUReady. What is evented is measured without any periodic look, so
that none can help; what only looks find, a fifth as often and with a look every so many seconds (5; in production 60).
"""

import math
import queue
import random
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from device_plugin.agent import build_agent as build_plugin
from device_plugin.settings import PluginSettings
from gfd.agent import GfdSettings
from gfd.agent import build_agent as build_gfd
from node_core.assembly import Edges, node_program
from node_core.domain.evidence import RecoveryAction
from node_core.host.nvml.api import EventType, Nvml, NvmlEvent
from node_core.host.uevents import PACE, HardwareEvents
from node_core.runtime.messages import Pass
from node_core.runtime.process import Running
from node_core.runtime.services import Services
from node_core.runtime.settings import CommonSettings
from node_core.simulate.apiserver import ApiServer
from node_core.simulate.kubelet import Kubelet
from node_core.simulate.nvml import SimulatedNvml
from node_core.simulate.scenario import Scenario, parse_scenario
from node_core.simulate.scenario_file import FaultEvent

NODE = "bench"
GPU = "nvidia.com/gpu"
MIG = "nvidia.com/mig-1g.10gb"
PRESENT = "nvidia.com/gpu.present"
GPUS = 32
"""Each is struck once, as a GPU that keeps failing is kept out: after so many a new node begins."""
POLL = 0.002
LONGEST = 60.0
GIVEN_UP = math.inf
UEVENT = (
    b"remove@/devices/pci0000:00/0000:00:05.0\0ACTION=remove\0DEVPATH=/devices/pci0000:00/0000:00:05.0\0SUBSYSTEM=pci\0"
)
Seen = Callable[[], bool]


def scenario(*, instances: tuple[str, ...] | None = None, count: int = GPUS) -> Scenario:
    board: dict[str, Any] = {"model": "NVIDIA H100 80GB HBM3", "count": count, "memory": "81559Mi", "device_id": "2330"}
    if instances is not None:
        board["mig"] = {"mode": "enabled", "instances": list(instances)}
    cluster = {"cluster_uuid": "4f1a6d7e-93b2-4c58-8e0d-2ba71c9f5d63", "clique": 7}
    file = {"driver": {"version": "550.54.15", "cuda": "12.4"}, "gpus": [board], "fabric": cluster}
    return parse_scenario("bench", file, source="bench")


class LiveNvml(SimulatedNvml):
    """Of a scenario that changes while sessions are open; events come from a queue of (GPU, type, data)."""

    news: "queue.Queue[tuple[int, int, int]]"

    def __init__(self, live: Scenario, news: "queue.Queue[tuple[int, int, int]]") -> None:
        assert live.driver is not None
        super().__init__(live, live.driver, time.monotonic, time.sleep)
        self.news = news
        self._devices: list[Any] = []

    def device_register_events(self, device: Any, types: int, events: Any) -> None:
        super().device_register_events(device, types, events)
        self._devices.append(device)

    def event_set_wait(self, _: Any, milliseconds: int) -> NvmlEvent | None:
        try:
            gpu, kind, data = self.news.get(timeout=milliseconds / 1000)
        except queue.Empty:
            return None
        return NvmlEvent(device=self._devices[gpu], type=kind, data=data)


class Stage:
    """A node with its agents. gpus, faults: what NVML says from now on. poll: seconds between looks; None for none."""

    def __init__(self, stack: ExitStack, first: Scenario, poll: float | None) -> None:
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gpunode-bench-")))
        self.caps = self.folder / "driver/dev/nvidia-caps"
        self.caps.mkdir(parents=True)
        self.server = stack.enter_context(ApiServer())
        self.server.add_node(NODE, labels={PRESENT: "true"})
        self.server.write_kubeconfig(self.folder / "kubeconfig")
        self.kubelet = Kubelet(self.folder / "dp")
        stack.callback(self.kubelet.stop)
        self.kubelet.start()
        self.gpus, self.faults = list(first.gpus), list[FaultEvent]()
        self._live = replace(first, gpus=self.gpus, faults=self.faults)  # type: ignore[arg-type] # lists, to be changed
        self._news: queue.Queue[tuple[int, int, int]] = queue.Queue()
        ours, self._kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        stack.callback(self._kernel.close)
        running = self._build(ours, poll)
        stack.callback(running.stop)
        running.start()

    def _build(self, uevents: socket.socket, poll: float | None) -> Running:
        common = CommonSettings(
            node_name=NODE, kubeconfig=str(self.folder / "kubeconfig"), simulate="h100x8", host_root=Path("/"), oneshot=False,
            interval=poll, address="", log_format="json", log_level="error", lock_dir=self.folder / "run",
        )  # fmt: skip
        edges = Edges(common, "bench", self.folder / "driver")
        edges.scenario = self._live
        edges.__dict__["nvml"] = self._session  # in the place of the cached one
        plugin = PluginSettings(
            mig_strategy="mixed", kubelet_socket=self.kubelet.socket, cdi_folder=self.folder / "cdi"
        )

        def build(services: Services) -> tuple[Any, ...]:
            agents = (
                build_gfd(GfdSettings(mig_strategy="mixed"), edges, services),
                build_plugin(plugin, edges, services),
            )

            def look() -> None:  # as node_core.assembly has it
                edges.inventory.forget()
                for agent in agents:
                    agent.mailbox.post(Pass())

            edges.parts.append(HardwareEvents(look, listen=lambda: uevents))
            return agents

        return Running(node_program(edges, build))

    @contextmanager
    def _session(self) -> Iterator[Nvml]:
        nvml = LiveNvml(self._live, self._news)
        try:
            yield nvml
        finally:
            nvml.shutdown()

    def tell(self, gpu: int, kind: int, data: int = 0) -> None:
        """An event of NVML."""
        self._news.put((gpu, kind, data))

    def uevent(self) -> None:
        self._kernel.send(UEVENT)

    def healthy(self, resource: str = GPU) -> int:
        return sum(self.kubelet.device_health(resource).values())

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.server.store.get("nodes", NODE)["metadata"]["labels"])

    @property
    def condition(self) -> str:
        conditions = self.server.store.get("nodes", NODE)["status"]["conditions"]
        return next((str(each["message"]) for each in conditions if each["type"] == "GPUReady"), "")

    def is_up(self) -> bool:
        """Whether kubelet and Node have all that there is at the beginning."""
        devices = self.healthy(MIG if self.gpus[0].mig_enabled else GPU)
        return devices >= len(self.gpus) and " of " in self.condition and "nvidia.com/gpu.count" in self.labels

    def label(self, key: str, value: str | None) -> None:
        """As somebody else sets it."""

        def change(node: dict[str, Any]) -> dict[str, Any]:
            labels = {**node["metadata"]["labels"], key: value}
            return {
                **node,
                "metadata": {**node["metadata"], "labels": {k: v for k, v in labels.items() if v is not None}},
            }

        self.server.store.mutate("nodes", NODE, change)

    def wait(self, *seen: Seen) -> list[float]:
        """Seconds until each is so, or for ever."""
        start, times = time.monotonic(), [GIVEN_UP] * len(seen)
        while GIVEN_UP in times and time.monotonic() < start + LONGEST:
            for at, each in enumerate(seen):
                if times[at] == GIVEN_UP and each():
                    times[at] = time.monotonic() - start
            time.sleep(POLL)
        return times


Change = Callable[[Stage, int], tuple[Seen | None, Seen | None]]
"""Makes the change of that number, and says how kubelet and Node know of it; None where one of them does not."""


def xid(stage: Stage, number: int) -> tuple[Seen, Seen]:
    left = GPUS - number % GPUS - 1
    stage.tell(number % GPUS, EventType.XID, 79)
    return lambda: stage.healthy() == left, lambda: stage.condition.startswith(f"{left} of {GPUS}")


LAYOUTS = (("1g.10gb",) * 7, ("1g.10gb",) * 3 + ("3g.40gb",))


def mig_layout(stage: Stage, number: int) -> tuple[Seen, Seen]:
    """As mig-parted does it: the old devices go, and a moment later the new ones are there. What counts is the time since then."""
    layout = LAYOUTS[(number + 1) % 2]
    for each in ((), layout):
        time.sleep(random.uniform(0.1, 0.4))
        stage.gpus[0] = scenario(instances=each, count=1).gpus[0]
        (stage.caps / f"nvidia-cap{2 * number + len(each)}").touch()
        stage.tell(0, EventType.MIG_CONFIG)
    count = layout.count("1g.10gb")
    return lambda: stage.healthy(MIG) == count, lambda: stage.labels.get(f"{MIG}.count") == str(count)


def gate(stage: Stage, number: int) -> tuple[Seen, None]:
    is_open = number % 2 == 1
    stage.label(PRESENT, "true" if is_open else "false")
    return (lambda: stage.healthy() == (GPUS if is_open else 0)), None


def gpu_removed(stage: Stage, number: int) -> tuple[Seen, Seen]:
    """And the one before put back, every other time."""
    if number % 2:
        stage.gpus.append(scenario().gpus[GPUS - 1])
    else:
        stage.gpus.pop()
    stage.uevent()
    count = len(stage.gpus)
    return lambda: stage.healthy() == count, lambda: stage.labels.get("nvidia.com/gpu.count") == str(count)


def recovery_action(stage: Stage, number: int) -> tuple[Seen, Seen]:
    left = GPUS - number % GPUS - 1
    stage.faults.append(FaultEvent(at=0, kind="recovery", gpu=number % GPUS, action=RecoveryAction.RESET))
    return lambda: stage.healthy() == left, lambda: stage.condition.startswith(f"{left} of {GPUS}")


def fabric(stage: Stage, number: int) -> tuple[None, Seen]:
    """The fabric manager ends and begins in turns; a label is gone, as a look has found, and comes."""
    if number % 2:
        stage.faults.clear()
        return None, lambda: "nvidia.com/gpu.clique" in stage.labels
    stage.faults.append(FaultEvent(at=0, kind="fabric", state="not-started"))
    return None, lambda: "nvidia.com/gpu.clique" not in stage.labels


CASES: dict[str, tuple[Change, bool, float]] = {
    "Xid, an event of NVML": (xid, False, 0.3),
    "MIG layout, capability folder and event": (mig_layout, False, 0.6),
    "label gpu.present": (gate, False, 0.3),
    "GPU gone or back, uevent": (gpu_removed, False, PACE.every),
    "recovery action": (recovery_action, True, 0.0),
    "fabric manager": (fabric, True, 0.0),
}
"""Change, whether only looks find it, and seconds between two: a change that follows closely on another may wait for it."""


def measure(
    change: Change, count: int, poll: float | None, pause: float
) -> Iterator[tuple[float | None, float | None]]:
    """Seconds until kubelet and Node know."""
    done = 0
    while done < count:
        with ExitStack() as stack:
            stage = Stage(stack, scenario(instances=LAYOUTS[0], count=1) if change is mig_layout else scenario(), poll)
            stage.wait(stage.is_up)
            for number in range(min(GPUS, count - done)):
                time.sleep(pause + (random.uniform(0.5, 1.0) if poll is None else random.uniform(0.0, poll)))
                seen = change(stage, number)
                times = iter(stage.wait(*(each for each in seen if each is not None)))
                yield tuple(None if each is None else next(times) for each in seen)  # type: ignore[misc]
                done += 1


def percentile(times: list[float], part: float) -> float:
    return sorted(times)[math.ceil(part * len(times)) - 1]


def show(what: str, where: str, times: list[float]) -> None:
    numbers = (statistics.median(times), percentile(times, 0.9), percentile(times, 0.99), max(times))
    print(f"{what:41} {where:8} {len(times):4}  " + "  ".join(f"{each:7.3f}" for each in numbers), flush=True)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    poll = float(sys.argv[2]) if len(sys.argv) > 2 else 5.0
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    print(f"{'seconds after':41} {'until':8} {'n':>4}  {'median':>7}  {'p90':>7}  {'p99':>7}  {'max':>7}")
    for what, (change, is_polled, pause) in CASES.items():
        found = list(measure(change, max(1, count // 5) if is_polled else count, poll if is_polled else None, pause))
        name = f"{what}, a look each {poll:g} s" if is_polled else what
        for at, where in enumerate(("kubelet", "Node")):
            if times := [each[at] for each in found if each[at] is not None]:
                show(name, where, times)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
