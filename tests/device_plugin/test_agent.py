"""The device plugin's life, message by message: the gate, failed looks, and what is said of them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from structlog.testing import capture_logs

from device_plugin.agent import RETRIES, PluginAgent, build_agent
from device_plugin.devices import Plan
from device_plugin.looker import read_look
from device_plugin.manager import Answers, Manager
from device_plugin.settings import PluginSettings, ResponseSettings
from device_plugin.specs import Surroundings
from node_core.assembly import Edges
from node_core.decode import Document
from node_core.domain.inventory import Inventory
from node_core.domain.node import NodeView
from node_core.domain.resources import GPU
from node_core.domain.sharing import SharedResource, Sharing, SharingStrategy
from node_core.errors import KubeError, NvmlError, SettingsError
from node_core.host.nvml.inventory import read_inventory
from node_core.host.nvml.source import FRESH, InventorySource
from node_core.host.release_requests import FOLDER, write_request
from node_core.host.root import HostRoot
from node_core.runtime.messages import AgentMessage, KubeletChanged, NodeLost, NodeSeen, Pass, RulesChanged, Stop
from node_core.runtime.metrics import Metrics
from node_core.runtime.named_config import LABEL, NamedConfigOptions, NamedConfigs
from node_core.runtime.readiness import Readiness
from node_core.runtime.services import Services
from node_core.simulate.nvml import numa_of, simulated_nvml
from node_core.simulate.scenario import load_scenario
from tests.node_core.runtime.settings_of import settings_of

OPEN = NodeView(name="n", uid="u", resource_version="1", labels={"nvidia.com/gpu.present": "true"})
SHUT = replace(OPEN, labels={})


class Recorder:
    """A manager that remembers its plans."""

    def __init__(self) -> None:
        self.plans: list[Plan] = []
        self.checks = 0
        self.closed = False
        self.wrong: tuple[str, ...] = ()
        self.allocations: dict[str, int] = {}
        self.registrations: dict[str, int] = {}
        self.registration_failures: dict[str, int] = {}

    def reconcile(self, plan: Plan, answers: Answers) -> None:
        self.plans.append(plan)

    def check(self) -> None:
        self.checks += 1

    def next_check(self, most: float) -> float:
        return most

    def problems(self) -> tuple[str, ...]:
        return self.wrong

    def close(self) -> None:
        self.closed = True


NAMED = NamedConfigOptions(place=Path("/configs"))


class Folder:
    """Configs in memory. A config here says how many replicas there are."""

    def __init__(self, configs: Mapping[str, bytes]) -> None:
        self._configs = configs

    def read_configs(self) -> Mapping[str, Document]:
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
    """configs: name -> content; then the config that a label names counts. start: how looks are run."""

    def __init__(
        self,
        read: Callable[[], Inventory],
        settings: PluginSettings | None = None,
        configs: Mapping[str, bytes] | None = None,
        start: Callable[[Callable[[], None]], None] = lambda run: run(),
    ) -> None:
        self.now = 1000.0
        self.surroundings = Surroundings()
        self.manager = Recorder()
        self.services = Services(readiness=Readiness(lambda: self.now), clock=lambda: self.now, chance=lambda: 0.0)
        source = InventorySource(read, gpus_on_pci=lambda: True, clock=lambda: self.now)
        self.agent = PluginAgent(
            settings or PluginSettings(),
            look=lambda _: read_look(source.look, HostRoot(Path("/nowhere")), lambda _: self.surroundings),
            manager=lambda _: cast("Manager", self.manager),
            services=self.services,
            configs=None if configs is None else lambda _: NamedConfigs(Folder(configs), NAMED, read_settings),
            start=start,
        )

    def play(self, *messages: AgentMessage | None) -> None:
        for message in messages:
            self.now += FRESH  # so that every look is a new one
            self.agent._handle(message)

    @property
    def advertised(self) -> list[int]:
        """How many devices each plan had, healthy ones counted positive, unhealthy ones negative."""
        return [
            sum(1 if one.healthy else -1 for offer in plan.resources.values() for one in offer.devices)
            for plan in self.manager.plans
        ]

    def problem(self, check: str) -> str | None:
        return self.services.readiness.problems()[f"gpu-device-plugin/{check}"]


def eight() -> Inventory:
    scenario = load_scenario("h100x8")
    return read_inventory(simulated_nvml(scenario, lambda: 0.0), numa_of(scenario))


class Flaky:
    """Looks that fail while `code` is set."""

    code: str | None = None

    def __call__(self) -> Inventory:
        if self.code:
            raise NvmlError("nvmlInit_v2", self.code)
        return eight()


def test_nothing_is_looked_at_or_served_while_the_gate_is_shut() -> None:
    bench = Bench(lambda: pytest.fail("looked at the GPUs"))
    bench.play(NodeSeen(SHUT), Pass(), KubeletChanged(), None)
    assert bench.manager.plans == []
    assert bench.problem("node") is None


def test_the_label_opens_the_gate_and_its_removal_shuts_it() -> None:
    bench = Bench(eight)
    bench.play(NodeSeen(OPEN), NodeSeen(OPEN), NodeSeen(SHUT), Pass(), NodeSeen(OPEN))
    assert bench.advertised == [8, 0, 8]


def test_an_api_outage_changes_nothing_that_is_served() -> None:
    bench = Bench(eight)
    bench.play(NodeSeen(OPEN), NodeLost(KubeError("down")))
    assert bench.advertised == [8]
    assert bench.problem("node") == "down"


def test_one_failed_look_is_forgiven_and_the_second_makes_the_gpus_unhealthy_until_one_succeeds() -> None:
    read = Flaky()
    bench = Bench(read)
    bench.play(NodeSeen(OPEN))
    read.code = "UNKNOWN"
    bench.play(Pass())
    assert bench.advertised == [8]
    assert "UNKNOWN" in (bench.problem("gpus") or "")
    bench.now += RETRIES.most
    bench.play(None)
    assert bench.advertised == [8, -8]
    read.code = None
    bench.now += RETRIES.most
    bench.play(None)
    assert bench.advertised == [8, -8, 8]
    assert bench.problem("gpus") is None


def test_a_failed_look_is_not_repeated_before_its_time() -> None:
    read = Flaky()
    read.code = "DRIVER_NOT_LOADED"
    bench = Bench(read)
    bench.play(NodeSeen(OPEN))
    for _ in range(3):
        bench.agent._handle(None)
    assert (
        bench.services.metrics.render().count(b'gpunode_errors_total{agent="gpu-device-plugin",check="gpus"} 1.0') == 1
    )


def test_what_is_not_advertised_is_said_once() -> None:
    scenario = load_scenario("h100x8-mig-mixed")
    bench = Bench(lambda: read_inventory(simulated_nvml(scenario, lambda: 0.0), numa_of(scenario)))
    with capture_logs() as logs:
        bench.play(NodeSeen(OPEN), Pass(), Pass())
    said = [entry["why"] for entry in logs if entry["event"] == "not_allocatable"]
    assert len(said) == len(set(said)) > 0


def test_problems_with_the_kubelet_reach_readiness_and_devices_reach_metrics() -> None:
    bench = Bench(eight)
    bench.manager.wrong = ("nvidia.com/gpu: no kubelet",)
    bench.play(NodeSeen(OPEN))
    assert bench.problem("kubelet") == "nvidia.com/gpu: no kubelet"
    bench.manager.allocations = {"nvidia.com/gpu": 3}
    bench.play(Pass(), Pass())
    assert b'gpunode_allocations_total{agent="gpu-device-plugin",resource="nvidia.com/gpu"} 3.0' in (
        bench.services.metrics.render()
    )
    sample = b'gpunode_devices{agent="gpu-device-plugin",health="healthy",resource="nvidia.com/gpu"} 8.0'
    assert sample in bench.services.metrics.render()


def test_stop_ends_it_and_closing_closes_the_manager() -> None:
    bench = Bench(eight)
    bench.agent.mailbox.post(Stop())
    bench.agent.run()
    bench.agent.close()
    assert bench.manager.closed


def labelled(**labels: str) -> NodeSeen:
    named = {LABEL: labels["config"]} if "config" in labels else {}
    mig = {"nvidia.com/mig.strategy": labels["mig"]} if "mig" in labels else {}
    return NodeSeen(replace(OPEN, labels={**OPEN.labels, **named, **mig}))


def test_a_look_that_hangs_holds_up_nobody() -> None:
    runs: list[Callable[[], None]] = []
    bench = Bench(eight, start=runs.append)
    bench.play(NodeSeen(OPEN), KubeletChanged(), Pass(), None)
    assert bench.manager.checks == 4
    assert bench.manager.plans == []
    assert len(runs) == 1
    runs.pop()()
    bench.play(KubeletChanged())
    assert bench.advertised == [8]


def test_a_look_that_ends_behind_a_shut_gate_serves_nothing() -> None:
    runs: list[Callable[[], None]] = []
    bench = Bench(eight, start=runs.append)
    bench.play(NodeSeen(OPEN), NodeSeen(SHUT))
    runs.pop()()
    bench.play(KubeletChanged())
    assert bench.advertised == [0]


def test_a_look_that_fails_behind_a_shut_gate_is_no_problem() -> None:
    read, runs = Flaky(), list[Callable[[], None]]()
    read.code = "TIMEOUT"
    bench = Bench(read, start=runs.append)
    bench.play(NodeSeen(OPEN), NodeSeen(SHUT))
    runs.pop()()
    bench.play(KubeletChanged())
    assert "gpu-device-plugin/gpus" not in bench.services.readiness.problems()


def test_the_strategy_auto_follows_the_nodes_label_without_another_look() -> None:
    scenario = load_scenario("a100x4-mig-single")
    looks: list[Inventory] = []

    def read() -> Inventory:
        looks.append(read_inventory(simulated_nvml(scenario, lambda: 0.0), numa_of(scenario)))
        return looks[-1]

    bench = Bench(read, PluginSettings(mig_strategy="auto"))
    bench.play(labelled(), labelled(mig="single"), labelled(mig="nonsense"), labelled(mig="mixed"), labelled())
    assert [sorted(plan.resources) for plan in bench.manager.plans] == [
        [], ["nvidia.com/gpu"], ["nvidia.com/mig-1g.5gb"], [],
    ]  # fmt: skip
    assert len(looks) == 1
    assert bench.problem("mig-strategy") is None


def test_a_label_chooses_the_config_and_nothing_is_looked_at_again() -> None:
    configs = {"default": b"2", "four": b"4", "bad": b"x"}
    bench = Bench(eight, configs=configs)
    bench.play(labelled(), labelled(config="four"), labelled(config="bad"), labelled(config="none"), labelled())
    assert bench.advertised == [16, 32, 16]
    assert b'gpunode_passes_total{agent="gpu-device-plugin"} 1.0' in bench.services.metrics.render()
    assert bench.problem("config") is None


def test_a_config_that_cannot_be_had_keeps_the_running_one_and_is_said_once_until_it_can() -> None:
    configs = {"two": b"2", "bad": b"x"}
    bench = Bench(eight, configs=configs)
    with capture_logs() as logs:
        bench.play(labelled(config="two"), labelled(config="bad"), Pass(), labelled(config="bad"), Pass())
    assert bench.advertised[-1] == 16
    assert "is no number; what was applied before stays" in (bench.problem("config") or "")
    assert [entry["check"] for entry in logs if entry["event"] == "not_ready"] == ["gpu-device-plugin/config"]
    assert b'gpunode_errors_total{agent="gpu-device-plugin",check="config"} 1.0' in bench.services.metrics.render()
    configs["bad"] = b"3"
    bench.play(RulesChanged())
    assert (bench.advertised[-1], bench.problem("config")) == (24, None)


def test_nothing_is_served_before_there_is_a_config_that_can_be_read() -> None:
    configs = {"default": b"x"}
    bench = Bench(eight, configs=configs)
    bench.play(labelled(), Pass(), KubeletChanged())
    assert bench.manager.plans == []
    configs["default"] = b"2"
    bench.play(RulesChanged())
    assert bench.advertised == [16]


def test_a_new_config_does_not_heal_gpus_that_cannot_be_looked_at() -> None:
    read = Flaky()
    bench = Bench(read, configs={"default": b"2", "three": b"3"})
    bench.play(labelled())
    read.code = "UNKNOWN"
    bench.play(Pass(), Pass())
    bench.play(labelled(config="three"))
    assert bench.advertised == [16, -16, -24]


def test_a_wrong_strategy_label_matters_only_while_it_is_followed() -> None:
    bench = Bench(eight, configs={"default": b"1", "two": b"2"})
    bench.play(labelled(mig="nonsense"))
    assert "set it to one of none, single, mixed" in (bench.problem("mig-strategy") or "")
    bench.play(labelled(mig="nonsense", config="two"))
    assert bench.problem("mig-strategy") is None


def test_devices_that_are_kept_back_are_said_once_a_reason() -> None:
    scenario = load_scenario("a100x4-mig-single")
    bench = Bench(lambda: read_inventory(simulated_nvml(scenario, lambda: 0.0), numa_of(scenario)))
    with capture_logs() as logs:
        bench.play(NodeSeen(OPEN), Pass(), Pass())
    (line,) = [entry for entry in logs if entry["event"] == "devices_reserved"]
    assert line["why"] == "MIG devices are not advertised with MIG strategy none"
    assert line["devices"][:2] == ["0:0", "0:1"]


def test_the_device_list_follows_the_nodes_software_and_is_told_once() -> None:
    bench = Bench(eight)
    bench.surroundings = Surroundings(no_specs=None)
    new = replace(OPEN, kubelet_version="v1.36.3", container_runtime="containerd://2.1.9")
    with capture_logs() as lines:
        bench.play(NodeSeen(OPEN), None, NodeSeen(new), None, NodeSeen(new))
    chosen = [line["strategy"] for line in lines if line["event"] == "device_list_chosen"]
    assert chosen == ["envvar", "cdi-cri"]


def test_channels_that_are_required_and_missing_make_every_gpu_unusable_until_they_come() -> None:
    required = PluginSettings(responses=ResponseSettings(imex_channels=(0,), imex_required=True))
    bench = Bench(eight, required)
    bench.surroundings = Surroundings(missing=("IMEX channel 0 is asked for, and there is none",))
    bench.play(NodeSeen(OPEN), None)
    assert bench.advertised[-1] == -8
    assert bench.problem("cdi") == "IMEX channel 0 is asked for, and there is none"
    bench.surroundings = Surroundings()
    bench.play(Pass(), None)
    assert bench.advertised[-1] == 8
    assert bench.problem("cdi") is None


def test_shared_gpus_are_usable_only_while_their_mps_daemon_is_there(tmp_path: Path) -> None:
    sharing = Sharing(
        strategy=SharingStrategy.MPS,
        resources=(SharedResource(resource=GPU, replicas=2, advertised=GPU),),
        fail_requests_greater_than_one=True,
    )
    bench = Bench(eight, PluginSettings(sharing=sharing, responses=ResponseSettings(mps_root=str(tmp_path))))
    bench.play(NodeSeen(OPEN), None)
    assert bench.advertised[-1] == -16
    offered = bench.manager.plans[-1].resources[GPU].devices[0]
    assert "MPS" in str(offered.why_unhealthy) or "driver has no" in str(offered.why_unhealthy)
    bench.agent.close()


def test_a_gpu_that_no_specification_has_is_not_offered_where_containers_are_told_by_cdi() -> None:
    bench = Bench(eight, PluginSettings(responses=ResponseSettings(device_lists=("cdi-cri",))))
    uuids = [gpu.uuid for gpu in eight().gpus]
    note = "GPU 3 has no device node"
    bench.surroundings = Surroundings(
        no_specs=None, cdi_names={"gpu": {each: each for each in uuids[:7]}}, notes=(note,)
    )
    with capture_logs() as lines:
        bench.play(NodeSeen(OPEN), None, Pass(), None)
    assert bench.advertised[-1] == 6
    assert [line["why"] for line in lines if line["event"] == "cdi_left_out"] == [note]
    bench.surroundings = replace(bench.surroundings, cdi_names={"gpu": {each: each for each in uuids}}, notes=())
    bench.play(Pass(), None)
    assert bench.advertised[-1] == 8


def test_mps_daemons_know_of_a_release(tmp_path: Path) -> None:
    asked = write_request(tmp_path / FOLDER, "upgrade", 600)
    common = settings_of("--node-name=n1", "--simulate=h100x8", f"--lock-dir={tmp_path}")
    edges = Edges(common, "gpu-device-plugin")
    agent = build_agent(PluginSettings(), edges, Services())
    assert not agent._mps._may_open()
    asked.unlink()
    edges.releases.begin(Metrics(), lambda: None)
    assert agent._mps._may_open()
    edges.releases.stop()
    agent.close()
