"""The controller, message by message: the gate, failed discoveries, and reports."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import pytest
from structlog.testing import capture_logs

from device_plugin.agent import NAME, RETRIES, SETTLE, PluginController, build_agent
from device_plugin.cdi_sync import HostContext
from device_plugin.devices import Plan
from device_plugin.gate import Gate
from device_plugin.health.kubelet_assessment import SETTLE_SECONDS
from device_plugin.health.monitor import HealthMonitor
from device_plugin.health.status_writer import HealthStatusWriter
from device_plugin.inventory_poller import discover
from device_plugin.manager import Manager
from device_plugin.mig_gate import WAIT_SECONDS, MigGate
from device_plugin.response_options import ServedResource
from device_plugin.settings import PluginSettings
from gpu_core.assembly import Dependencies
from gpu_core.domain.inventory import Inventory
from gpu_core.domain.node_assessment import NodeFacts
from gpu_core.domain.resources import GPU, ResourceName
from gpu_core.domain.sharing import SharedResource, Sharing, SharingStrategy
from gpu_core.host.mig_status import MigStatus
from gpu_core.host.release_requests import FOLDER, write_request
from gpu_core.mps.changes import MpsState
from gpu_core.mps.control import MpsFolder
from gpu_core.mps.manager import MpsManager
from gpu_core.mps.state import read_state, write_state
from gpu_core.nvml.inventory import read_inventory
from gpu_core.nvml.poller import InventoryPoller
from gpu_core.nvml.source import CACHE_SECONDS, InventorySource
from gpu_core.settings.nvidia_settings import ResponseSettings
from node_core.decode import Document
from node_core.domain.conditions import GPU_READY, ObservedCondition
from node_core.domain.labels import MIG_CONFIG
from node_core.domain.node import NodeView
from node_core.errors import KubeError, NvmlError, SettingsError
from node_core.host.root import HostRoot
from node_core.kube.client import NodeApi
from node_core.runtime.config_selector import ConfigSelector, NamedConfigs
from node_core.runtime.control_loop import ControlLoop, Timers
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, InputsChanged, NodeChanged, NodeUnavailable, Resync, Stop, Wake
from node_core.runtime.metrics import Metrics
from node_core.runtime.named_config import LABEL, NamedConfigOptions
from node_core.runtime.readiness import Readiness
from node_core.runtime.services import Services
from node_core.values import replace
from simulation.nvml.library import numa_of, simulated_nvml
from simulation.scenarios.scenario import load_scenario
from tests.node_core.runtime.settings_of import settings_of

OPEN = NodeView(name="n", uid="u", resource_version="1", labels={"nvidia.com/gpu.present": "true"})
BARE = replace(OPEN, labels={})
SHUT = replace(OPEN, labels={"nvidia.com/gpu.present": "false"})


class Recorder:
    """A fake manager that records changes."""

    def __init__(self) -> None:
        self.plans: list[Plan] = []
        self.served: dict[ResourceName, ServedResource] = {}
        self.checks = 0
        self.closed = False
        self.is_registered = True
        self.wrong: tuple[str, ...] = ()
        self.unwatched: tuple[ResourceName, ...] = ()
        self.dead_socket: str | None = None
        self.allocations: dict[str, int] = {}
        self.registrations: dict[str, int] = {}
        self.registration_failures: dict[str, int] = {}

    def reconcile(self, resources: Mapping[ResourceName, ServedResource]) -> None:
        if resources != self.served:
            self.served = dict(resources)
            self.plans.append(Plan(resources={name: served.offer for name, served in resources.items()}))

    def check(self) -> None:
        self.checks += 1

    def next_check(self, most: float) -> float:
        return most

    def problems(self) -> tuple[str, ...]:
        return self.wrong

    def sockets_problem(self) -> str | None:
        return self.dead_socket

    def close(self) -> None:
        self.closed = True


NAMED = NamedConfigOptions(place=Path("/configs"))


class Folder:
    """Configs in memory. The content of a config is the number of replicas."""

    def __init__(self, configs: Mapping[str, bytes]) -> None:
        self._configs = configs

    def read_configs(self) -> Mapping[str, Document] | None:
        """The config `unknown` means that the configs are not read yet."""
        if "unknown" in self._configs:
            return None
        return {name: Document(source=name, content=content) for name, content in self._configs.items()}


def read_settings(config: Document | None) -> PluginSettings:
    if config is None or not config.content.isdigit():
        raise SettingsError([f"{config}: is no number"])
    if config.content == b"1":
        return PluginSettings(mig_strategy="auto")
    shared = SharedResource(resource=GPU, replicas=int(config.content), advertised=GPU)
    return PluginSettings(
        sharing=Sharing(
            strategy=SharingStrategy.TIME_SLICING, resources=(shared,), fail_requests_greater_than_one=False
        )
    )


class Bench:
    """configs: name -> content; a label selects one of them. start: how discoveries run."""

    def __init__(
        self,
        read: Callable[[], Inventory],
        settings: PluginSettings | None = None,
        configs: Mapping[str, bytes] | None = None,
        start: Callable[[Callable[[], None]], None] = lambda run: run(),
        *,
        waits_for_mig: bool = False,
    ) -> None:
        self.now = 1000.0
        self.mig = MigStatus()
        self.context = HostContext()
        self.facts = NodeFacts()
        self.manager = Recorder()
        self.services = Services(readiness=Readiness(lambda: self.now), clock=lambda: self.now, chance=lambda: 0.0)
        source = InventorySource(read, has_gpus=lambda: True, clock=lambda: self.now)
        mailbox: Mailbox[AgentMessage] = Mailbox()
        timers = Timers(self.services.clock)

        def wake() -> None:
            mailbox.post(Wake())

        self.mps = MpsManager(wake)
        named = None if configs is None else NamedConfigs(source=Folder(configs), options=NAMED, read=read_settings)
        self.controller = PluginController(
            ConfigSelector(settings or PluginSettings(), named, agent=NAME, services=self.services),
            services=self.services,
            timers=timers,
            manager=cast("Manager", self.manager),
            health=HealthMonitor(NAME, self.services, wake, facts=lambda _: self.facts),
            status=HealthStatusWriter(
                NodeApi("n", kubeconfig="/nowhere", user_agent="test"), self.services, agent=NAME
            ),
            mps=self.mps,
            poller=InventoryPoller(
                lambda: discover(source.discover, HostRoot(Path("/nowhere")), lambda _: self.context),
                wake,
                start=start,
            ),
            mig=MigGate(lambda: self.mig, lambda: self.now, is_required=waits_for_mig),
        )
        self.agent = ControlLoop(self.controller, self.services, mailbox=mailbox, timers=timers)

    def play(self, *messages: AgentMessage | None) -> None:
        """Handles each message and the wake-ups that it causes."""
        for message in messages:
            self.now += CACHE_SECONDS  # so that every discovery is a new one
            self.agent._wake(message)
            while (waiting := self.agent.mailbox.get(0)) is not None:
                self.agent._wake(waiting)

    @property
    def advertised(self) -> list[int]:
        """The sum over each plan's devices: +1 for each healthy device, -1 for each unhealthy device."""
        return [
            sum(1 if one.is_healthy else -1 for offer in plan.resources.values() for one in offer.devices)
            for plan in self.manager.plans
        ]

    @property
    def condition(self) -> tuple[str, str]:
        """The reason and the message of the condition that the Node should have; empty without a condition."""
        desired = self.controller._status._desired
        condition = None if desired is None else desired.condition
        return ("", "") if condition is None else (condition.reason, condition.message)

    def problem(self, check: str) -> str | None:
        return self.services.readiness.problems()[f"gpu-device-plugin/{check}"]


def eight() -> Inventory:
    scenario = load_scenario("h100x8")
    return read_inventory(simulated_nvml(scenario, lambda: 0.0), numa_of(scenario))


class Flaky:
    """Discoveries that fail while `code` is set."""

    code: str | None = None

    def __call__(self) -> Inventory:
        if self.code:
            raise NvmlError("nvmlInit_v2", self.code)
        return eight()


def test_nothing_is_discovered_or_advertised_while_the_gate_is_closed() -> None:
    bench = Bench(lambda: pytest.fail("discovered the GPUs"))
    bench.play(NodeChanged(SHUT), Resync(), Wake(), None)
    assert bench.manager.plans == []
    assert bench.problem("node") is None


def test_the_label_opens_the_gate_and_its_removal_closes_it() -> None:
    bench = Bench(eight)
    bench.play(NodeChanged(OPEN), NodeChanged(OPEN), NodeChanged(SHUT), Resync(), NodeChanged(OPEN))
    assert bench.advertised == [8, 0, 8]


def test_a_removed_label_closes_the_gate_only_after_a_delay() -> None:
    bench = Bench(eight)
    bench.play(NodeChanged(OPEN), NodeChanged(BARE), Resync(), NodeChanged(OPEN))
    assert bench.advertised == [8]
    bench.play(NodeChanged(BARE))
    bench.now += 25
    bench.play(Wake())
    assert bench.advertised == [8]
    bench.now += 5
    bench.play(None)
    assert bench.advertised == [8, 0]


def test_a_recreated_node_without_labels_retains_its_gpus_for_the_delay() -> None:
    bench = Bench(eight)
    again = replace(BARE, uid="v")
    bench.play(NodeChanged(OPEN), NodeUnavailable(KubeError("deleted", status=404)), NodeChanged(again))
    assert bench.condition == (
        "NotAdvertisedByKubelet", "Nvidia.com/gpu: the Node shows 0 of 8 healthy devices as allocatable.",
    )  # fmt: skip
    bench.play(NodeChanged(replace(again, labels=OPEN.labels, allocatable={"nvidia.com/gpu": "8"})))
    assert bench.advertised == [8]
    assert bench.condition == ("GPUsReady", "8 of 8 GPUs are available.")


def test_a_removed_label_of_the_mig_strategy_changes_nothing_before_the_delay() -> None:
    scenario = load_scenario("a100x4-mig-single")
    bench = Bench(
        lambda: read_inventory(simulated_nvml(scenario, lambda: 0.0), numa_of(scenario)),
        PluginSettings(mig_strategy="auto"),
    )
    bench.play(labelled(mig="single"), labelled())
    assert [sorted(plan.resources) for plan in bench.manager.plans] == [["nvidia.com/gpu"]]
    bench.now += 30
    bench.play(None)
    assert bench.manager.plans[-1].resources == {}


def test_a_gate_without_a_label_opens_on_a_node_without_labels() -> None:
    bench = Bench(eight, PluginSettings(gate=Gate(key="")))
    bench.play(NodeChanged(BARE))
    assert bench.advertised == [8]


@pytest.mark.parametrize("view", [BARE, SHUT], ids=["absent", "another value"])
def test_a_node_that_never_had_the_label_gets_a_reason_a_log_line_and_a_metric(view: NodeView) -> None:
    bench = Bench(lambda: pytest.fail("discovered the GPUs"))
    with capture_logs() as lines:
        bench.play(NodeChanged(view), Resync(), None)
    assert bench.condition[0] == "NodeNotLabelled"
    assert "nvidia.com/gpu.present" in bench.condition[1]
    assert [line["event"] for line in lines] == ["gate_closed", "node_status_evaluated"]
    assert (
        b'gpunode_gpu_ready_reason{agent="gpu-device-plugin",reason="NodeNotLabelled"} 1.0'
        in bench.services.metrics.render()
    )


def test_a_node_without_gpus_and_without_the_label_gets_no_condition_until_a_gpu_appears() -> None:
    bench = Bench(lambda: pytest.fail("discovered the GPUs"))
    bench.facts = NodeFacts(has_gpus=False)
    bench.play(NodeChanged(BARE), Resync())
    assert bench.condition == ("", "")
    bench.facts = NodeFacts(has_gpus=True)
    bench.play(Resync())
    assert bench.condition[0] == "NodeNotLabelled"


def test_an_old_condition_of_a_node_without_gpus_and_label_is_corrected() -> None:
    bench = Bench(lambda: pytest.fail("discovered the GPUs"))
    bench.facts = NodeFacts(has_gpus=False)
    bench.play(NodeChanged(replace(BARE, conditions={GPU_READY: ObservedCondition(status="True")})))
    assert bench.condition[0] == "NoGPU"


def test_without_a_valid_config_the_condition_names_the_problem() -> None:
    configs = {"default": b"x"}
    bench = Bench(eight, configs=configs)
    bench.play(labelled())
    assert bench.condition[0] == "ConfigInvalid"
    assert "is no number; there is no previous config to use" in bench.condition[1]
    configs["default"] = b"2"
    bench.play(InputsChanged())
    assert bench.condition[0] == "ConfigInvalid", "until the kubelet has the devices"
    bench.play(NodeChanged(replace(OPEN, allocatable={"nvidia.com/gpu": "16"})))
    assert bench.condition == ("GPUsReady", "16 of 16 devices are available.")


def test_configs_that_cannot_be_read_are_a_reason_only_after_a_while() -> None:
    configs = {"unknown": b"", "default": b"2"}
    bench = Bench(eight, configs=configs)
    bench.play(labelled(), Resync())
    assert bench.condition == ("", "")
    bench.now += SETTLE_SECONDS
    bench.play(None)
    assert bench.condition[0] == "ConfigInvalid"
    assert "the configs cannot be read" in bench.condition[1]
    del configs["unknown"]
    bench.play(InputsChanged())
    assert bench.advertised == [16]


def test_the_condition_follows_the_kubelet() -> None:
    bench = Bench(eight)
    bench.manager.wrong = ("nvidia.com/gpu: the kubelet's socket does not exist",)
    bench.play(NodeChanged(OPEN))
    assert bench.condition[0] == "NotRegistered"
    assert "the kubelet's socket does not exist" in bench.condition[1]
    bench.manager.wrong, bench.manager.unwatched = (), (GPU,)
    shown = replace(OPEN, allocatable={"nvidia.com/gpu": "8"})
    bench.play(NodeChanged(shown))
    assert bench.condition[0] == "NotAdvertisedByKubelet"
    bench.manager.unwatched = ()
    bench.play(Wake())
    assert bench.condition[0] == "GPUsReady"
    bench.play(NodeChanged(OPEN))
    assert bench.condition[0] == "GPUsReady", "the kubelet may need some time"
    assert bench.agent.timers.is_set(SETTLE), "the agent wakes when this time ends"
    bench.now += SETTLE_SECONDS
    bench.play(None)
    assert bench.condition[0] == "NotAdvertisedByKubelet"


def test_an_api_outage_does_not_change_the_advertised_devices() -> None:
    bench = Bench(eight)
    bench.play(NodeChanged(OPEN), NodeUnavailable(KubeError("down")))
    assert bench.advertised == [8]
    assert bench.problem("node") == "down"


def test_the_second_failed_discovery_makes_gpus_unhealthy_until_one_succeeds() -> None:
    read = Flaky()
    bench = Bench(read)
    bench.play(NodeChanged(OPEN))
    read.code = "UNKNOWN"
    bench.play(Resync())
    assert bench.advertised == [8]
    assert "UNKNOWN" in (bench.problem("gpus") or "")
    bench.now += RETRIES.maximum
    bench.play(None)
    assert bench.advertised == [8, -8]
    read.code = None
    bench.now += RETRIES.maximum
    bench.play(None)
    assert bench.advertised == [8, -8, 8]
    assert bench.problem("gpus") is None


def test_a_failed_discovery_is_repeated_after_a_delay() -> None:
    read = Flaky()
    read.code = "DRIVER_NOT_LOADED"
    bench = Bench(read)
    bench.play(NodeChanged(OPEN))
    for _ in range(3):
        bench.agent._wake(None)
    assert (
        bench.services.metrics.render().count(b'gpunode_errors_total{agent="gpu-device-plugin",check="gpus"} 1.0') == 1
    )


def test_notes_of_the_plan_are_logged_once() -> None:
    scenario = load_scenario("h100x8-mig-mixed")
    bench = Bench(lambda: read_inventory(simulated_nvml(scenario, lambda: 0.0), numa_of(scenario)))
    with capture_logs() as logs:
        bench.play(NodeChanged(OPEN), Resync(), Resync())
    reasons = [entry["why"] for entry in logs if entry["event"] == "device_plan_warning"]
    assert len(reasons) == len(set(reasons)) > 0


def test_problems_with_the_kubelet_reach_readiness_and_devices_reach_metrics() -> None:
    bench = Bench(eight)
    bench.manager.wrong = ("nvidia.com/gpu: no kubelet",)
    bench.play(NodeChanged(OPEN))
    assert bench.problem("kubelet") == "nvidia.com/gpu: no kubelet"
    bench.manager.allocations = {"nvidia.com/gpu": 3}
    bench.play(Resync(), Resync())
    assert b'gpunode_allocations_total{agent="gpu-device-plugin",resource="nvidia.com/gpu"} 3.0' in (
        bench.services.metrics.render()
    )
    sample = b'gpunode_devices{agent="gpu-device-plugin",health="healthy",resource="nvidia.com/gpu"} 8.0'
    assert sample in bench.services.metrics.render()


def test_stop_ends_the_agent_and_closes_the_manager() -> None:
    bench = Bench(eight)
    bench.agent.mailbox.post(Stop())
    bench.agent.run()
    bench.agent.close(is_final=True)
    assert bench.manager.closed


def labelled(**labels: str) -> NodeChanged:
    named = {LABEL: labels["config"]} if "config" in labels else {}
    mig = {"nvidia.com/mig.strategy": labels["mig"]} if "mig" in labels else {}
    return NodeChanged(replace(OPEN, labels={**OPEN.labels, **named, **mig}))


def test_a_discovery_that_hangs_does_not_block_the_agent() -> None:
    runs: list[Callable[[], None]] = []
    bench = Bench(eight, start=runs.append)
    bench.play(NodeChanged(OPEN), Wake(), Resync(), None)
    assert bench.manager.checks == 4
    assert bench.manager.plans == []
    assert len(runs) == 1
    runs.pop()()
    bench.play(Wake())
    assert bench.advertised == [8]


def test_a_discovery_that_ends_after_the_gate_is_closed_is_dropped() -> None:
    runs: list[Callable[[], None]] = []
    bench = Bench(eight, start=runs.append)
    bench.play(NodeChanged(OPEN), NodeChanged(SHUT))
    runs.pop()()
    bench.play(Wake())
    assert bench.advertised == []


def test_a_discovery_that_fails_after_the_gate_is_closed_is_not_a_problem() -> None:
    read, runs = Flaky(), list[Callable[[], None]]()
    read.code = "TIMEOUT"
    bench = Bench(read, start=runs.append)
    bench.play(NodeChanged(OPEN), NodeChanged(SHUT))
    runs.pop()()
    bench.play(Wake())
    assert "gpu-device-plugin/gpus" not in bench.services.readiness.problems()


def test_a_gate_that_could_not_open_is_opened_when_the_loop_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: HealthMonitor) -> None:
        raise RuntimeError("can't start new thread")

    bench = Bench(eight)
    with monkeypatch.context() as patch:
        patch.setattr(HealthMonitor, "gate_opened", fail)
        with pytest.raises(RuntimeError):
            bench.play(NodeChanged(OPEN))
    bench.controller.start()
    bench.play(None)
    assert bench.advertised == [8]


def test_a_closed_gate_clears_the_problems_of_gpus() -> None:
    read = Flaky()
    read.code = "TIMEOUT"
    bench = Bench(read)
    bench.play(NodeChanged(OPEN))
    assert bench.problem("gpus") == "nvmlInit_v2 returned TIMEOUT"
    bench.play(NodeChanged(SHUT))
    assert set(bench.services.readiness.problems().values()) == {None}


def test_mig_strategy_auto_follows_the_label_without_a_discovery() -> None:
    scenario = load_scenario("a100x4-mig-single")
    discoveries: list[Inventory] = []

    def read() -> Inventory:
        discoveries.append(read_inventory(simulated_nvml(scenario, lambda: 0.0), numa_of(scenario)))
        return discoveries[-1]

    bench = Bench(read, PluginSettings(mig_strategy="auto"))
    bench.play(
        labelled(), labelled(mig="single"), labelled(mig="nonsense"), labelled(mig="mixed"), labelled(mig="none")
    )
    assert [sorted(plan.resources) for plan in bench.manager.plans] == [
        ["nvidia.com/gpu"], ["nvidia.com/mig-1g.5gb"], [],
    ]  # fmt: skip
    assert len(discoveries) == 1
    assert bench.problem("mig-strategy") is None


def test_a_label_selects_the_config_without_a_discovery() -> None:
    configs = {"default": b"2", "four": b"4", "bad": b"x"}
    bench = Bench(eight, configs=configs)
    bench.play(labelled(), labelled(config="four"), labelled(config="bad"), labelled(config="none"), labelled())
    assert bench.advertised == [16, 32, 16]
    assert b'gpunode_passes_total{agent="gpu-device-plugin"} 1.0' in bench.services.metrics.render()
    assert bench.problem("config") is None


def test_an_unavailable_config_is_logged_once_and_the_current_config_is_retained() -> None:
    configs = {"two": b"2", "bad": b"x"}
    bench = Bench(eight, configs=configs)
    with capture_logs() as logs:
        bench.play(labelled(config="two"), labelled(config="bad"), Resync(), labelled(config="bad"), Resync())
    assert bench.advertised[-1] == 16
    assert "is no number; the previous config remains in use" in (bench.problem("config") or "")
    assert [entry["check"] for entry in logs if entry["event"] == "not_ready"] == ["gpu-device-plugin/config"]
    assert b'gpunode_errors_total{agent="gpu-device-plugin",check="config"} 1.0' in bench.services.metrics.render()
    configs["bad"] = b"3"
    bench.play(InputsChanged())
    assert (bench.advertised[-1], bench.problem("config")) == (24, None)


def test_nothing_is_advertised_before_a_config_can_be_read() -> None:
    configs = {"default": b"x"}
    bench = Bench(eight, configs=configs)
    bench.play(labelled(), Resync(), Wake())
    assert bench.manager.plans == []
    configs["default"] = b"2"
    bench.play(InputsChanged())
    assert bench.advertised == [16]


def test_a_new_config_does_not_make_unreadable_gpus_healthy() -> None:
    read = Flaky()
    bench = Bench(read, configs={"default": b"2", "three": b"3"})
    bench.play(labelled())
    read.code = "UNKNOWN"
    bench.play(Resync(), Resync())
    bench.play(labelled(config="three"))
    assert bench.advertised == [16, -16, -24]


def test_an_invalid_strategy_label_is_a_problem_only_with_strategy_auto() -> None:
    bench = Bench(eight, configs={"default": b"1", "two": b"2"})
    bench.play(labelled(mig="nonsense"))
    assert "set it to one of none, single, mixed" in (bench.problem("mig-strategy") or "")
    bench.play(labelled(mig="nonsense", config="two"))
    assert bench.problem("mig-strategy") is None


def test_reserved_devices_are_logged_once_for_each_reason() -> None:
    scenario = load_scenario("a100x4-mig-single")
    bench = Bench(lambda: read_inventory(simulated_nvml(scenario, lambda: 0.0), numa_of(scenario)))
    with capture_logs() as logs:
        bench.play(NodeChanged(OPEN), Resync(), Resync())
    (line,) = [entry for entry in logs if entry["event"] == "devices_reserved"]
    assert line["why"] == "the MIG strategy `none` does not advertise MIG devices"
    assert line["devices"][0] == f"GPU 0 ({scenario.gpus[0].uuid}), MIG devices 0:0 0:1 0:2 0:3 0:4 0:5 0:6"


def test_the_device_list_strategy_follows_the_nodes_software_and_is_logged_once() -> None:
    bench = Bench(eight)
    bench.context = HostContext(no_specs_reason=None)
    new = replace(OPEN, kubelet_version="v1.36.3", container_runtime="containerd://2.1.9")
    with capture_logs() as lines:
        bench.play(NodeChanged(OPEN), None, NodeChanged(new), None, NodeChanged(new))
    chosen = [line["strategy"] for line in lines if line["event"] == "device_list_chosen"]
    assert chosen == ["envvar", "cdi-cri"]


def test_a_new_container_runtime_causes_a_discovery_because_specifications_depend_on_it() -> None:
    reads: list[int] = []

    def read() -> Inventory:
        reads.append(1)
        return eight()

    bench = Bench(read)
    new = replace(OPEN, container_runtime="containerd://1.7.11")
    bench.play(NodeChanged(OPEN), None, NodeChanged(OPEN), None)
    before = len(reads)
    bench.play(NodeChanged(new), None, NodeChanged(new), None)
    assert len(reads) == before + 1


def test_missing_required_imex_channels_make_every_gpu_unhealthy() -> None:
    required = PluginSettings(responses=ResponseSettings(imex_channels=(0,), imex_required=True))
    bench = Bench(eight, required)
    bench.context = HostContext(imex_problems=("IMEX channel 0 is configured, but does not exist",))
    bench.play(NodeChanged(OPEN), None)
    assert bench.advertised[-1] == -8
    assert bench.problem("cdi") == "IMEX channel 0 is configured, but does not exist"
    bench.context = HostContext()
    bench.play(Resync(), None)
    assert bench.advertised[-1] == 8
    assert bench.problem("cdi") is None


def test_shared_gpus_are_healthy_only_while_their_mps_daemon_runs(tmp_path: Path) -> None:
    sharing = Sharing(
        strategy=SharingStrategy.MPS,
        resources=(SharedResource(resource=GPU, replicas=2, advertised=GPU),),
        fail_requests_greater_than_one=True,
    )
    bench = Bench(eight, PluginSettings(sharing=sharing, responses=ResponseSettings(mps_root=str(tmp_path))))
    bench.play(NodeChanged(OPEN), None)
    assert bench.advertised[-1] == -16
    offered = bench.manager.plans[-1].resources[GPU].devices[0]
    assert "MPS" in str(offered.why_unhealthy) or "does not contain" in str(offered.why_unhealthy)
    bench.agent.close(is_final=True)


@pytest.fixture
def left(tmp_path: Path) -> MpsFolder:
    """An MPS folder of an earlier process."""
    folder = MpsFolder(base=tmp_path / GPU)
    folder.prepare()
    write_state(folder, MpsState())
    return folder


def make_bench(left: MpsFolder, read: Callable[[], Inventory]) -> Bench:
    return Bench(read, PluginSettings(responses=ResponseSettings(mps_root=str(left.base.parent.parent))))


@pytest.mark.parametrize("view", [OPEN, replace(OPEN, labels={"a": "b"})], ids=["not shared", "gate closed"])
def test_mps_daemons_of_an_earlier_process_are_stopped_if_not_desired(left: MpsFolder, view: NodeView) -> None:
    bench = make_bench(left, eight)
    bench.play(NodeChanged(view), None)
    daemon = bench.mps._daemons.get(GPU)
    assert daemon is None or daemon.done.wait(60)  # None: the daemon ended, and a later pass removed it
    assert read_state(left) is None
    bench.agent.close(is_final=True)


def test_mps_daemons_continue_to_run_while_discoveries_fail(left: MpsFolder) -> None:
    flaky = Flaky()
    flaky.code = "DRIVER_NOT_LOADED"
    bench = make_bench(left, flaky)
    bench.play(Resync(), NodeChanged(OPEN), None, Resync(), Resync(), Resync())
    assert "DRIVER_NOT_LOADED" in (bench.problem("gpus") or "")
    assert bench.mps._daemons == {}
    assert read_state(left) == MpsState()
    bench.agent.close(is_final=True)


def test_a_gpu_without_a_cdi_name_is_unhealthy_with_cdi_device_lists() -> None:
    bench = Bench(eight, PluginSettings(responses=ResponseSettings(device_lists=("cdi-cri",))))
    uuids = [gpu.uuid for gpu in eight().gpus]
    note = "GPU 3 has no device node"
    bench.context = HostContext(
        no_specs_reason=None, cdi_names={"gpu": {each: each for each in uuids[:7]}}, notes=(note,)
    )
    with capture_logs() as lines:
        bench.play(NodeChanged(OPEN), None, Resync(), None)
    assert bench.advertised[-1] == 6
    assert [line["why"] for line in lines if line["event"] == "cdi_spec_incomplete"] == [note]
    bench.context = replace(bench.context, cdi_names={"gpu": {each: each for each in uuids}}, notes=())
    bench.play(Resync(), None)
    assert bench.advertised[-1] == 8


def test_mps_daemons_respect_a_release(tmp_path: Path) -> None:
    request = write_request(tmp_path / FOLDER, "upgrade", 600)
    common = settings_of("--node-name=n1", "--simulate=h100x8", f"--lock-dir={tmp_path}")
    dependencies = Dependencies(common, "gpu-device-plugin")
    agent = build_agent(PluginSettings(), dependencies, Services())
    mps = agent.controller._mps
    assert not mps._may_open()
    request.unlink()
    dependencies.nvml_release.activate(Metrics(), lambda: None)
    assert mps._may_open()
    dependencies.nvml_release.stop()
    agent.close(is_final=True)


def test_a_plugin_socket_that_does_not_respond_fails_the_liveness_check() -> None:
    bench = Bench(eight)
    assert bench.services.readiness.liveness_problems() == ()
    bench.manager.dead_socket = "nvidia.com/gpu: nvidia-gpu.sock does not respond"
    assert bench.services.readiness.liveness_problems() == ("nvidia.com/gpu: nvidia-gpu.sock does not respond",)


CONFIGURED = NodeChanged(replace(OPEN, labels={**OPEN.labels, MIG_CONFIG: "all-1g.10gb"}))


def test_devices_that_mig_manager_destroys_get_no_pods_until_they_are_gone_or_offered_again() -> None:
    bench = Bench(eight)
    bench.play(NodeChanged(OPEN))
    leaving = eight().gpus[0].uuid
    bench.mig = MigStatus(leaving=frozenset({leaving}))
    bench.play(Wake())
    assert bench.advertised[-1] == 6
    bench.mig = MigStatus()
    bench.play(Wake())
    assert bench.advertised[-1] == 8


def test_if_all_devices_go_the_reason_is_the_change_of_the_layout() -> None:
    bench = Bench(eight)
    bench.mig = MigStatus(leaving=frozenset(gpu.uuid for gpu in eight().gpus))
    bench.play(NodeChanged(OPEN))
    assert bench.condition[0] == "MIGLayoutChanging"


def test_no_gpu_is_discovered_before_the_layout_of_the_boot_is_made() -> None:
    reads: list[bool] = []

    def read() -> Inventory:
        reads.append(True)
        return eight()

    bench = Bench(read, waits_for_mig=True)
    bench.play(CONFIGURED, Resync(), Wake())
    assert (reads, bench.condition) == ([], ("", ""))
    assert "mig-manager" in str(bench.problem("mig-layout"))
    bench.mig = MigStatus(is_settled=True)
    bench.play(Wake())
    assert bench.advertised[-1] == 8
    assert bench.problem("mig-layout") is None
    bench.mig = MigStatus()
    bench.play(Resync())
    assert bench.advertised[-1] == 8


def test_without_a_config_the_plugin_does_not_wait() -> None:
    bench = Bench(eight, waits_for_mig=True)
    bench.play(NodeChanged(OPEN))
    assert bench.advertised[-1] == 8


def test_the_plugin_does_not_wait_for_ever() -> None:
    bench = Bench(eight, waits_for_mig=True)
    bench.play(CONFIGURED)
    bench.now += WAIT_SECONDS
    bench.play(None)
    assert bench.advertised[-1] == 8
