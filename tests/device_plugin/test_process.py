"""The whole plugin with simulated API server and kubelet: a label selects the config."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from device_plugin.__main__ import parse
from node_core.kubelet.sockets import read_stamp
from node_core.runtime.process import ProcessRunner
from simulation.apiserver import ApiServer
from simulation.apiserver.resources import resource_named
from simulation.apiserver.status import ApiError
from simulation.apiserver.writes import Target, Writer
from simulation.kubelet.kubelet import Kubelet
from tests.waiting import until

NODE = "n1"
CONFIG = "nvidia.com/device-plugin.config"
PRESENT = {"nvidia.com/gpu.present": "true"}
MAP = Target(resource=resource_named("configmaps"), namespace="kube-system")
MAP_NAME = "configs"
SHARED = "sharing: {timeSlicing: {resources: [{name: gpu, replicas: %d}]}}"


@dataclass
class Place:
    """A node with configs in the folder `configs`, written as the kubelet writes ConfigMaps."""

    directory: Path
    server: ApiServer
    kubelet: Kubelet

    @property
    def configs(self) -> Path:
        return self.directory / "configs"

    @property
    def problems(self) -> dict[str, str]:
        found = self.running.services.readiness.problems()
        return {check.partition("/")[2]: problem for check, problem in found.items() if problem is not None}

    def start(self, *where: str) -> None:
        """where: the flags for the source of the configs; the folder by default."""
        program = parse([
            "--node-name", NODE, "--kubeconfig", str(self.directory / "kubeconfig"), "--simulate", "h100x8",
            "--lock-dir", str(self.directory), "--http-address", "", "--kubelet-socket", str(self.kubelet.socket),
            "--cdi-dir", str(self.directory / "cdi"), *(where or ("--config-dir", str(self.configs))),
        ])  # fmt: skip
        assert program is not None
        self.running = ProcessRunner(program)
        self.running.start()

    def write(self, version: str, **configs: str) -> None:
        """Replaces the content of the mounted ConfigMap atomically."""
        folder = self.configs / f"..{version}"
        folder.mkdir(parents=True)
        for name, text in configs.items():
            (folder / name).write_text(text)
        (self.configs / "..new").symlink_to(folder.name)
        (self.configs / "..new").rename(self.configs / "..data")
        for path in self.configs.iterdir():
            if not path.name.startswith("..") and path.name not in configs:
                path.unlink()
        for name in configs:
            with contextlib.suppress(FileExistsError):
                (self.configs / name).symlink_to(f"..data/{name}")

    def write_map(self, **configs: str) -> None:
        """Updates the ConfigMap in the API."""
        try:
            self.server.store.mutate(
                "configmaps", MAP_NAME, lambda obj: obj | {"data": configs}, namespace=MAP.namespace
            )
        except ApiError:
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": MAP_NAME}, "data": configs}
            self.server.api.create(MAP, body, Writer(manager="kubectl"))

    def label(self, **labels: str | None) -> None:
        def change(node: dict[str, object]) -> dict[str, object]:
            metadata = node["metadata"]
            assert isinstance(metadata, dict)
            named = {CONFIG: labels["config"]} if labels.get("config") else {}
            metadata["labels"] = {**PRESENT, **named}
            return node

        self.server.store.mutate("nodes", NODE, change)

    def gpus(self) -> int:
        found = self.kubelet.resources().get("nvidia.com/gpu")
        return found.allocatable if found else 0

    def until(self, true: Callable[[], bool]) -> None:
        until(true, lambda: self.problems)


@pytest.fixture
def place() -> Iterator[Place]:
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="plugin-test-")))
        server = stack.enter_context(ApiServer())
        server.add_node(NODE, labels=PRESENT)
        server.write_kubeconfig(directory / "kubeconfig")
        kubelet = Kubelet(directory / "dp")
        kubelet.start()
        made = Place(directory, server, kubelet)
        yield made
        made.running.stop()
        kubelet.stop()


def test_a_label_and_new_content_are_applied_without_a_restart(place: Place) -> None:
    place.write("1", default=SHARED % 2, four=SHARED % 4)
    place.start()
    place.until(lambda: place.gpus() == 16)
    stamp = read_stamp(place.kubelet.directory / "nvidia-gpu.sock")
    place.label(config="four")
    place.until(lambda: place.gpus() == 32)
    place.write("2", default=SHARED % 2, four=SHARED % 5)
    place.until(lambda: place.gpus() == 40)
    place.label(config="nowhere")
    place.until(lambda: "config" in place.problems)
    assert "'nowhere', which does not exist" in place.problems["config"]
    place.write("3", default=SHARED % 2, nowhere="sharing: {timeSlice: {}}")
    place.until(lambda: "did you mean timeSlicing" in place.problems["config"])
    assert place.gpus() == 40
    place.write("4", default=SHARED % 2, nowhere=SHARED % 3)
    place.until(lambda: place.gpus() == 24 and not place.problems)
    place.label()
    place.until(lambda: place.gpus() == 16)
    assert read_stamp(place.kubelet.directory / "nvidia-gpu.sock") == stamp
    registrations = b'gpunode_registrations_total{agent="gpu-device-plugin",resource="nvidia.com/gpu"} 1.0'
    assert registrations in place.running.services.metrics.render()


def test_a_folder_that_appears_later_is_used(place: Place) -> None:
    place.start()
    place.until(lambda: "does not exist" in place.problems.get("config", ""))
    assert place.kubelet.resources() == {}
    place.write("1", default="{}")
    place.until(lambda: place.gpus() == 8)


def test_configs_of_a_configmap_are_watched_through_the_api(place: Place) -> None:
    place.start("--config-map", "kube-system/configs")
    place.until(lambda: "the ConfigMap kube-system/configs does not exist" in place.problems.get("config", ""))
    assert place.kubelet.resources() == {}
    place.write_map(default=SHARED % 2, four=SHARED % 4)
    place.until(lambda: place.gpus() == 16 and not place.problems)
    stamp = read_stamp(place.kubelet.directory / "nvidia-gpu.sock")
    place.label(config="four")
    place.until(lambda: place.gpus() == 32)
    place.write_map(default=SHARED % 2, four="sharing: {timeSlice: {}}")
    place.until(lambda: "configs, four: sharing.timeSlice: unknown key" in place.problems.get("config", ""))
    place.write_map(default=SHARED % 2, four=SHARED % 5)
    place.until(lambda: place.gpus() == 40 and not place.problems)
    place.server.store.delete("configmaps", MAP_NAME, namespace=MAP.namespace)
    place.until(lambda: "does not exist" in place.problems.get("config", ""))
    place.server.stop()
    place.until(lambda: "config-map" in place.problems)
    assert place.gpus() == 40
    place.server.start()
    place.write_map(four=SHARED % 3)
    place.until(lambda: place.gpus() == 24 and not place.problems)
    assert read_stamp(place.kubelet.directory / "nvidia-gpu.sock") == stamp
