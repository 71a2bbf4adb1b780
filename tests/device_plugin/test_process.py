"""The whole plugin against stand-ins for the API server and the kubelet: a config by label."""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from device_plugin.__main__ import parse
from node_core.kubelet.sockets import read_stamp
from node_core.runtime.process import Running
from node_core.simulate.apiserver import ApiServer
from node_core.simulate.apiserver.resources import resource_named
from node_core.simulate.apiserver.status import ApiError
from node_core.simulate.apiserver.writes import Target, Writer
from node_core.simulate.kubelet import Kubelet

NODE = "n1"
CONFIG = "nvidia.com/device-plugin.config"
PRESENT = {"nvidia.com/gpu.present": "true"}
MAP = Target(resource=resource_named("configmaps"), namespace="kube-system")
MAP_NAME = "configs"
SHARED = "sharing: {timeSlicing: {resources: [{name: gpu, replicas: %d}]}}"


@dataclass
class Place:
    """A node whose configs lie in `configs`, put there as the kubelet puts ConfigMaps."""

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
        """where: the flags that say where the configs are; in the folder if nothing is said."""
        program = parse([
            "--node-name", NODE, "--kubeconfig", str(self.directory / "kubeconfig"), "--simulate", "h100x8",
            "--lock-dir", str(self.directory), "--http-address", "", "--kubelet-socket", str(self.kubelet.socket),
            "--cdi-dir", str(self.directory / "cdi"), *(where or ("--config-dir", str(self.configs))),
        ])  # fmt: skip
        assert program is not None
        self.running = Running(program)
        self.running.start()

    def write(self, version: str, **configs: str) -> None:
        """The new content of the ConfigMap, swapped in at once."""
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
        """The new content of the ConfigMap in the API."""
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
        deadline = time.monotonic() + 20
        while not true():
            assert time.monotonic() < deadline, f"it did not come true in time: {self.problems}"
            time.sleep(0.005)


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


def test_a_label_and_new_content_are_applied_in_place(place: Place) -> None:
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
    assert "'nowhere', which is not there" in place.problems["config"]
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


def test_a_folder_that_comes_later_is_waited_for(place: Place) -> None:
    place.start()
    place.until(lambda: "No such file" in place.problems.get("config", ""))
    assert place.kubelet.resources() == {}
    place.write("1", default="{}")
    place.until(lambda: place.gpus() == 8)


def test_the_configs_of_a_configmap_are_followed_by_the_api(place: Place) -> None:
    place.start("--config-map", "kube-system/configs")
    place.until(lambda: "there is no ConfigMap kube-system/configs" in place.problems.get("config", ""))
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
    place.until(lambda: "there is no ConfigMap" in place.problems.get("config", ""))
    place.server.stop()
    place.until(lambda: "config-map" in place.problems)
    assert place.gpus() == 40
    place.server.start()
    place.write_map(four=SHARED % 3)
    place.until(lambda: place.gpus() == 24 and not place.problems)
    assert read_stamp(place.kubelet.directory / "nvidia-gpu.sock") == stamp
