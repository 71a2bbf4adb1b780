"""The processes mig-manager and gpu-device-plugin with a simulated API server, kubelet and driver."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from device_plugin.__main__ import parse as parse_plugin
from mig_manager.__main__ import parse
from node_core.domain.conditions import MIG_CONFIGURED
from node_core.domain.labels import MIG_CONFIG, MIG_CONFIG_STATE
from node_core.domain.node import NodeView
from node_core.grpc_h2.methods import Unary
from node_core.kube.client import NodeApi
from node_core.kubelet import podresources_pb2 as pb
from node_core.kubelet.server import UnixServer
from node_core.runtime.process import ProcessRunner
from simulation.apiserver import ApiServer
from simulation.kubelet.kubelet import Kubelet
from tests.waiting import until

NODE = "n1"
SCENARIO = """
driver: {{version: "570.1", cuda: "12.8"}}
mig_state: {folder}/mig-state.json
gpus:
  - {{model: NVIDIA H100 80GB HBM3, count: 2, memory: 81559Mi, compute: "9.0", device_id: "2330", mig: {{mode: enabled}}}}
"""


@dataclass
class Place:
    """A node. users: pod -> the ids of its devices, for the pod-resources API."""

    folder: Path
    server: ApiServer
    stack: contextlib.ExitStack
    users: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.kubeconfig = self.folder / "kubeconfig"
        self.server.write_kubeconfig(self.kubeconfig)
        self.api = NodeApi(NODE, kubeconfig=str(self.kubeconfig), user_agent="test")
        self.socket = self.folder / "pod-resources" / "kubelet.sock"
        self.socket.parent.mkdir()
        (self.folder / "scenario.yaml").write_text(SCENARIO.format(folder=self.folder))

    def start(self, *flags: str) -> ProcessRunner:
        return self._run(
            parse, "--state-dir", str(self.folder / "state"), "--mig-pod-resources-socket", str(self.socket), *flags
        )

    def start_plugin(self, kubelet: Kubelet, *flags: str) -> ProcessRunner:
        folders = (f"--kubelet-socket={kubelet.socket}", f"--cdi-dir={self.folder / 'cdi'}")
        return self._run(parse_plugin, *folders, "--mig-strategy=mixed", "--gate-label=", *flags)

    def start_kubelet(self) -> Kubelet:
        kubelet = Kubelet(self.folder / "dp")
        kubelet.start()
        self.stack.callback(kubelet.stop)
        return kubelet

    def serve_pods(self) -> None:
        server = UnixServer(self.socket, {"/v1.PodResourcesLister/List": Unary(self._list_pods)}, name="pod-resources")
        server.start()
        self.stack.callback(server.stop)

    def label(self, config: str | None) -> None:
        self.api.request(
            "PATCH",
            f"/api/v1/nodes/{NODE}",
            body={"metadata": {"labels": {MIG_CONFIG: config}}},
            content="application/merge-patch+json",
        )

    @property
    def node(self) -> NodeView:
        return self.api.get()

    def wait_for(self, state: str, reason: str) -> str:
        """Waits for a state and the reason of the condition. Returns the message of the condition."""

        def shown() -> tuple[str | None, str]:
            node = self.node
            condition = node.conditions.get(MIG_CONFIGURED)
            return node.labels.get(MIG_CONFIG_STATE), condition.reason if condition else ""

        until(lambda: shown() == (state, reason), lambda: str(shown()))
        return self.node.conditions[MIG_CONFIGURED].message

    def _run(self, parse_: Any, *flags: str) -> ProcessRunner:
        program = parse_([
            "--node-name", NODE, "--kubeconfig", str(self.kubeconfig), "--simulate", str(self.folder / "scenario.yaml"),
            "--lock-dir", str(self.folder), "--http-address", "", *flags,
        ])  # fmt: skip
        running = ProcessRunner(program)
        running.start()
        self.stack.callback(running.stop)
        return running

    def _list_pods(self, _: bytes) -> bytes:
        pods = [
            pb.PodResources(
                name=name,
                namespace="ml",
                containers=[pb.ContainerResources(name="main", devices=[pb.ContainerDevices(device_ids=ids)])],
            )
            for name, ids in self.users.items()
        ]
        return bytes(pb.ListPodResourcesResponse(pod_resources=pods).SerializeToString())


@pytest.fixture
def place() -> Iterator[Place]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mig-")))
        server = stack.enter_context(ApiServer())
        server.add_node(NODE)
        made = Place(folder, server, stack)
        yield made


def test_without_the_label_the_node_gets_nothing(place: Place) -> None:
    place.start()
    until(lambda: place.server.requests["watch", "/api/v1/nodes"])
    place.label("all-1g.10gb")
    place.wait_for("success", "Applied")
    assert place.server.requests["patch", "/api/v1/nodes/{name}/status"] <= 2


def test_a_new_label_reaches_the_kubelet_and_devices_that_stay_keep_their_uuids(place: Place) -> None:
    place.serve_pods()
    kubelet = place.start_kubelet()
    place.label("all-1g.10gb")
    place.start()
    place.start_plugin(kubelet)
    until(lambda: len(kubelet.device_health("nvidia.com/mig-1g.10gb")) == 14)
    before = set(kubelet.device_health("nvidia.com/mig-1g.10gb"))
    place.label("all-balanced")
    place.wait_for("success", "Applied")
    until(lambda: len(kubelet.device_health("nvidia.com/mig-3g.40gb")) == 2)
    until(lambda: len(kubelet.device_health("nvidia.com/mig-1g.10gb")) == 4)
    assert set(kubelet.device_health("nvidia.com/mig-1g.10gb")) <= before


def test_while_a_device_is_busy_no_device_that_must_go_gets_a_pod(place: Place) -> None:
    place.serve_pods()
    kubelet = place.start_kubelet()
    place.label("all-1g.10gb")
    place.start()
    place.start_plugin(kubelet)

    def health() -> list[bool]:
        return [*kubelet.device_health("nvidia.com/mig-1g.10gb").values()]

    until(lambda: health() == [True] * 14)
    place.users = {"train-0": [*kubelet.device_health("nvidia.com/mig-1g.10gb")][:5]}
    place.label("all-balanced")
    place.wait_for("pending", "WaitingForPods")
    until(lambda: 0 < health().count(False) < 14)
    place.label("all-1g.10gb")
    until(lambda: health() == [True] * 14)


def test_after_a_boot_the_kubelet_first_hears_of_the_new_layout(place: Place) -> None:
    place.label("all-1g.10gb")
    kubelet = place.start_kubelet()
    seen: list[frozenset[str]] = []
    kubelet.subscribe(lambda resources: seen.append(frozenset(resources)))
    place.start_plugin(kubelet, "--wait-for-mig-manager")
    until(lambda: place.server.requests["watch", "/api/v1/nodes"])
    place.start()
    until(lambda: len(kubelet.device_health("nvidia.com/mig-1g.10gb")) == 14)
    assert set().union(*seen) == {"nvidia.com/mig-1g.10gb"}


def test_a_busy_device_is_named_until_it_is_free(place: Place) -> None:
    place.serve_pods()
    kubelet = place.start_kubelet()
    place.label("all-1g.10gb")
    place.start("--mig-busy-timeout", "1s")
    place.start_plugin(kubelet)
    until(lambda: len(kubelet.device_health("nvidia.com/mig-1g.10gb")) == 14)
    place.users = {"train-0": [*kubelet.device_health("nvidia.com/mig-1g.10gb")][:1]}
    place.label("all-3g.40gb")
    message = place.wait_for("failed", "DevicesInUse")
    assert "pod ml/train-0 uses MIG-" in message
    place.users = {}
    place.label("all-7g.80gb")
    place.wait_for("success", "Applied")


def test_a_gpu_of_the_ampere_generation_is_reset_while_all_agents_have_closed_nvml(place: Place) -> None:
    text = (place.folder / "scenario.yaml").read_text()
    text = text.replace("H100 80GB HBM3", "A100-SXM4-80GB").replace("9.0", "8.0").replace("enabled", "disabled")
    (place.folder / "scenario.yaml").write_text(text)
    place.serve_pods()
    kubelet = place.start_kubelet()
    place.start()
    place.start_plugin(kubelet)
    until(lambda: len(kubelet.device_health("nvidia.com/gpu")) == 2)
    place.label("all-1g.10gb")
    place.wait_for("success", "Applied")
    until(lambda: len(kubelet.device_health("nvidia.com/mig-1g.10gb")) == 14)
    assert list((place.folder / "release.d").iterdir()) == []


def test_an_unknown_config_fails_with_a_suggestion_and_its_label_can_be_corrected(place: Place) -> None:
    place.label("all-1g.10g")
    place.start()
    assert "did you mean all-1g.10gb" in place.wait_for("failed", "InvalidConfig")
    place.label("all-1g.10gb")
    place.wait_for("success", "Applied")


def test_a_removed_label_removes_the_state_and_no_layout(place: Place) -> None:
    place.label("all-1g.10gb")
    running = place.start()
    place.wait_for("success", "Applied")
    place.label(None)
    until(lambda: place.node.conditions[MIG_CONFIGURED].reason == "NotRequested")
    until(lambda: MIG_CONFIG_STATE not in place.node.labels)
    running.stop()
    layouts = (place.folder / "mig-state.json").read_text()
    place.label("all-1g.10gb")
    place.start()
    place.wait_for("success", "Applied")
    assert (place.folder / "mig-state.json").read_text() == layouts


def test_after_a_restart_an_applied_config_causes_no_write(place: Place) -> None:
    place.label("all-1g.10gb")
    running = place.start()
    place.wait_for("success", "Applied")
    running.stop()
    place.server.forget_requests()
    writes = place.server.writes
    place.start()
    until(lambda: place.server.requests["watch", "/api/v1/nodes"])
    status = place.folder / "mig.d" / f"{NODE}.json"
    until(lambda: '"is_settled":true' in status.read_text())
    assert place.server.writes == writes


def test_a_config_file_is_followed_live(place: Place) -> None:
    path = place.folder / "mig.yaml"
    text = "version: v1\nmig-configs: {own: [{devices: all, mig-enabled: true, mig-devices: {3g.40gb: %d}}]}"
    path.write_text(text % 1)
    place.label("own")
    place.start("--config-file", str(path))
    place.wait_for("success", "Applied")
    path.write_text(text % 3)
    assert "would fit" in place.wait_for("failed", "InvalidConfig")
    path.write_text(text % 2)
    place.wait_for("success", "Applied")
