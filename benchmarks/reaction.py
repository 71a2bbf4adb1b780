"""The time until the kubelet and the Node report a change of a GPU.

    .venv/bin/python -m benchmarks.reaction [count] [poll seconds]

gfd, gpu-device-plugin, and simulated NVML, kubelet and API server run in one process. Changes occur at random times. Prints for each
kind of change the median, 90th and 99th percentile and maximum, in seconds from the change until the kubelet has it by ListAndWatch, and
until the Node has it: a label, or the condition GPUReady. Changes with events are measured without periodic polls. Changes that only polls
detect are measured a fifth as often, with one poll in `poll seconds` (5; in production 60).
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
from pathlib import Path
from typing import Any

import structlog

from benchmarks.figures import percentile
from device_plugin.agent import build_agent as build_plugin
from device_plugin.settings import PluginSettings
from gfd.agent import build_agent as build_gfd
from gfd.settings import GfdSettings
from gpu_core.assembly import Dependencies, node_program
from gpu_core.domain.evidence import RecoveryAction
from gpu_core.nvml.api import EventType, Nvml, NvmlEvent
from node_core.host.uevents import RATE_LIMIT, HardwareEvents
from node_core.runtime.messages import Resync
from node_core.runtime.process import ProcessRunner
from node_core.runtime.services import Services
from node_core.runtime.settings import CommonSettings
from node_core.values import replace
from simulation.apiserver import ApiServer
from simulation.kubelet.kubelet import Kubelet
from simulation.kubelet.node_agent import NodeAgent
from simulation.kubelet.node_api import StoreNodeApi
from simulation.node import SimulatedNode
from simulation.nvml.library import SimulatedNvml
from simulation.nvml.mig_states import MigStates
from simulation.scenarios.file_format import FaultEvent
from simulation.scenarios.scenario import Scenario, parse_scenario

NODE = "bench"
GPU = "nvidia.com/gpu"
MIG = "nvidia.com/mig-1g.10gb"
PRESENT = "nvidia.com/gpu.present"
GPUS = 32
"""Each GPU fails once, because a GPU that fails repeatedly remains unhealthy. After this number of failures, a new node starts."""
POLL = 0.002
TIMEOUT_SECONDS = 20.0
NEVER = math.inf
UEVENT = (
    b"remove@/devices/pci0000:00/0000:00:05.0\0ACTION=remove\0DEVPATH=/devices/pci0000:00/0000:00:05.0\0SUBSYSTEM=pci\0"
)
Check = Callable[[], bool]


def scenario(*, instances: tuple[str, ...] | None = None, count: int = GPUS) -> Scenario:
    board: dict[str, Any] = {"model": "NVIDIA H100 80GB HBM3", "count": count, "memory": "81559Mi", "device_id": "2330"}
    if instances is not None:
        board["mig"] = {"mode": "enabled", "instances": list(instances)}
    cluster = {"cluster_uuid": "4f1a6d7e-93b2-4c58-8e0d-2ba71c9f5d63", "clique": 7}
    file = {"driver": {"version": "550.54.15", "cuda": "12.4"}, "gpus": [board], "fabric": cluster}
    return parse_scenario("bench", file, source="bench")


class LiveNvml(SimulatedNvml):
    """NVML of a scenario that changes while sessions are open. Events come from a queue of (GPU, type, data)."""

    events: "queue.Queue[tuple[int, int, int]]"

    def __init__(self, live: Scenario, events: "queue.Queue[tuple[int, int, int]]") -> None:
        assert live.driver is not None
        super().__init__(lambda: live, live.driver, time.monotonic, time.sleep, MigStates())
        self.events = events
        self._devices: list[Any] = []

    def device_register_events(self, device: Any, types: int, events: Any) -> None:
        super().device_register_events(device, types, events)
        self._devices.append(device)

    def event_set_wait(self, _: Any, milliseconds: int) -> NvmlEvent | None:
        try:
            gpu, kind, data = self.events.get(timeout=milliseconds / 1000)
        except queue.Empty:
            return None
        return NvmlEvent(device=self._devices[gpu], type=kind, data=data)


class Stage:
    """A node with its agents. gpus, faults: the current results of NVML. poll: seconds between polls; None for no polls."""

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
        agent = NodeAgent(StoreNodeApi(self.server.api, NODE), self.kubelet, NODE)
        stack.callback(agent.stop)
        agent.start()
        self.gpus, self.faults = list(first.gpus), list[FaultEvent]()
        self._live = replace(first, gpus=self.gpus, faults=self.faults)  # type: ignore[arg-type] # mutable lists
        self._events: queue.Queue[tuple[int, int, int]] = queue.Queue()
        receiver, self._kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        stack.callback(self._kernel.close)
        running = self._build(receiver, poll)
        stack.callback(running.stop)
        running.start()

    def _build(self, uevents: socket.socket, poll: float | None) -> ProcessRunner:
        common = CommonSettings(
            node_name=NODE, kubeconfig=str(self.folder / "kubeconfig"), simulate="h100x8", host_root=Path("/"), oneshot=False,
            interval=poll, address="", log_format="json", log_level="error", lock_dir=self.folder / "run",
        )  # fmt: skip
        dependencies = Dependencies(common, "bench", self.folder / "driver")
        dependencies.simulated = SimulatedNode(self._live)
        dependencies.simulated.__dict__["open_nvml"] = self._session  # replaces the cached property
        plugin = PluginSettings(
            mig_strategy="mixed", kubelet_socket=self.kubelet.socket, cdi_folder=self.folder / "cdi"
        )

        def build(services: Services) -> tuple[Any, ...]:
            agents = (
                build_gfd(GfdSettings(mig_strategy="mixed"), dependencies, services),
                build_plugin(plugin, dependencies, services),
            )

            def rediscover() -> None:  # as in gpu_core.assembly
                dependencies.inventory.invalidate()
                for agent in agents:
                    agent.mailbox.post(Resync())

            dependencies.background_services.append(HardwareEvents(rediscover, listen=lambda: uevents))
            return agents

        return ProcessRunner(node_program(dependencies, build))

    @contextmanager
    def _session(self) -> Iterator[Nvml]:
        nvml = LiveNvml(self._live, self._events)
        try:
            yield nvml
        finally:
            nvml.shutdown()

    def send_event(self, gpu: int, kind: int, data: int = 0) -> None:
        """Sends an event of NVML."""
        self._events.put((gpu, kind, data))

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
        """Whether the kubelet and the Node have the initial state."""
        devices = self.healthy(MIG if self.gpus[0].mig_enabled else GPU)
        return devices >= len(self.gpus) and " of " in self.condition and "nvidia.com/gpu.count" in self.labels

    def label(self, key: str, value: str | None) -> None:
        """Changes a label as another client."""

        def change(node: dict[str, Any]) -> dict[str, Any]:
            labels = {**node["metadata"]["labels"], key: value}
            return {
                **node,
                "metadata": {**node["metadata"], "labels": {k: v for k, v in labels.items() if v is not None}},
            }

        self.server.store.mutate("nodes", NODE, change)

    def wait(self, *checks: Check) -> list[float]:
        """Returns the seconds until each check returns True. Raises SystemExit after the timeout."""
        start, times = time.monotonic(), [NEVER] * len(checks)
        while NEVER in times and time.monotonic() < start + TIMEOUT_SECONDS:
            for at, each in enumerate(checks):
                if times[at] == NEVER and each():
                    times[at] = time.monotonic() - start
            time.sleep(POLL)
        if NEVER in times:
            raise SystemExit(f"the agents did not report a change in {TIMEOUT_SECONDS:.0f} s: {self.condition}")
        return times


Change = Callable[[Stage, int], tuple[Check | None, Check | None]]
"""Makes the change with this number. Returns a check for the kubelet and one for the Node; None for no check."""


def xid(stage: Stage, number: int) -> tuple[Check, Check]:
    left = GPUS - number % GPUS - 1
    stage.send_event(number % GPUS, EventType.XID, 79)
    return lambda: stage.healthy() == left, lambda: f"{left} of {GPUS}" in stage.condition


LAYOUTS = (("1g.10gb",) * 7, ("1g.10gb",) * 3 + ("3g.40gb",))


def mig_layout(stage: Stage, number: int) -> tuple[Check, Check]:
    """Removes the old devices and creates new ones, as mig-parted does. The time starts with the new devices."""
    layout = LAYOUTS[(number + 1) % 2]
    for each in ((), layout):
        time.sleep(random.uniform(0.1, 0.4))
        stage.gpus[0] = scenario(instances=each, count=1).gpus[0]
        (stage.caps / f"nvidia-cap{2 * number + len(each)}").touch()
        stage.send_event(0, EventType.MIG_CONFIG)
    count = layout.count("1g.10gb")
    return lambda: stage.healthy(MIG) == count, lambda: stage.labels.get(f"{MIG}.count") == str(count)


def gate(stage: Stage, number: int) -> tuple[Check, None]:
    is_open = number % 2 == 1
    stage.label(PRESENT, "true" if is_open else "false")
    return (lambda: stage.healthy() == (GPUS if is_open else 0)), None


def gpu_removed(stage: Stage, number: int) -> tuple[Check, Check]:
    """Removes a GPU; with an odd number restores the GPU."""
    if number % 2:
        stage.gpus.append(scenario().gpus[GPUS - 1])
    else:
        stage.gpus.pop()
    stage.uevent()
    count = len(stage.gpus)
    return lambda: stage.healthy() == count, lambda: stage.labels.get("nvidia.com/gpu.count") == str(count)


def recovery_action(stage: Stage, number: int) -> tuple[Check, Check]:
    left = GPUS - number % GPUS - 1
    stage.faults.append(FaultEvent(at=0, kind="recovery", gpu=number % GPUS, action=RecoveryAction.RESET))
    return lambda: stage.healthy() == left, lambda: f"{left} of {GPUS}" in stage.condition


def fabric(stage: Stage, number: int) -> tuple[None, Check]:
    """Stops or starts the fabric manager, which removes or adds a label after the next poll."""
    if number % 2:
        stage.faults.clear()
        return None, lambda: "nvidia.com/gpu.clique" in stage.labels
    stage.faults.append(FaultEvent(at=0, kind="fabric", state="not-started"))
    return None, lambda: "nvidia.com/gpu.clique" not in stage.labels


EVENTS: dict[str, tuple[Change, float]] = {
    "Xid": (xid, 0.3),
    "MIG": (mig_layout, 0.6),
    "gate": (gate, 0.3),
    "uevent": (gpu_removed, RATE_LIMIT.interval),
}
"""The changes that events report, and the seconds between two changes, because of rate limits."""
CASES: dict[str, tuple[Change, float, bool]] = {
    "Xid, an event of NVML": (*EVENTS["Xid"], False),
    "MIG layout, capability folder and event": (*EVENTS["MIG"], False),
    "label gpu.present": (*EVENTS["gate"], False),
    "GPU removed or added, uevent": (*EVENTS["uevent"], False),
    "recovery action": (recovery_action, 0.0, True),
    "fabric manager": (fabric, 0.0, True),
}
"""The change, the seconds between two changes, and whether only polls detect the change."""


def measure(
    change: Change, count: int, poll: float | None, pause: float
) -> Iterator[tuple[float | None, float | None]]:
    """Yields the seconds until the kubelet and the Node report each change."""
    done = 0
    while done < count:
        with ExitStack() as stack:
            stage = Stage(stack, scenario(instances=LAYOUTS[0], count=1) if change is mig_layout else scenario(), poll)
            stage.wait(stage.is_up)
            for number in range(min(GPUS, count - done)):
                time.sleep(pause + (random.uniform(0.5, 1.0) if poll is None else random.uniform(0.0, poll)))
                checks = change(stage, number)
                times = iter(stage.wait(*(each for each in checks if each is not None)))
                yield tuple(None if each is None else next(times) for each in checks)  # type: ignore[misc]
                done += 1


def measure_reactions(count: int) -> dict[str, list[float]]:
    """Returns the seconds of the changes that events report, for `make bench`. count: of each change."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    found: dict[str, list[float]] = {}
    for key, (change, pause) in EVENTS.items():
        for kubelet, node in measure(change, count, None, pause):
            for where, seconds in (("kubelet", kubelet), ("Node", node)):
                if seconds is not None:
                    found.setdefault(f"{key} {where}", []).append(seconds)
    return found


def show(what: str, where: str, times: list[float]) -> None:
    numbers = (statistics.median(times), percentile(times, 0.9), percentile(times, 0.99), max(times))
    print(f"{what:41} {where:8} {len(times):4}  " + "  ".join(f"{each:7.3f}" for each in numbers), flush=True)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    poll = float(sys.argv[2]) if len(sys.argv) > 2 else 5.0
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    print(f"{'seconds after':41} {'until':8} {'n':>4}  {'median':>7}  {'p90':>7}  {'p99':>7}  {'max':>7}")
    for what, (change, pause, is_polled) in CASES.items():
        found = list(measure(change, max(1, count // 5) if is_polled else count, poll if is_polled else None, pause))
        name = f"{what}, polled every {poll:g} s" if is_polled else what
        for at, where in enumerate(("kubelet", "Node")):
            if times := [each[at] for each in found if each[at] is not None]:
                show(name, where, times)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
