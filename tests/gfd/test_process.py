"""The whole of gfd against a stand-in for the API server: a config by label."""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gfd.__main__ import parse
from node_core.kube.client import NodeApi
from node_core.runtime.process import Running
from node_core.runtime.services import Services
from node_core.simulate.apiserver import ApiServer
from node_core.simulate.apiserver.resources import resource_named
from node_core.simulate.apiserver.writes import Target, Writer

NODE = "n1"
CONFIG = "nvidia.com/device-plugin.config"
COUNT, REPLICAS = "nvidia.com/gpu.count", "nvidia.com/gpu.replicas"
SHARED = "sharing: {timeSlicing: {resources: [{name: gpu, replicas: %d}]}}"
PREMIUM = """
premium:
  - name: big
    match: {memoryAtLeast: 80Gi}
    taint: {key: nvidia.com/premium, effect: NoSchedule}
    labels: {nvidia.com/premium: "true"}
"""


@dataclass
class Place:
    """A node whose configs lie in `configs`."""

    directory: Path
    server: ApiServer
    running: Running | None = None

    @property
    def configs(self) -> Path:
        return self.directory / "configs"

    @property
    def node(self) -> dict[str, Any]:
        return self.server.store.get("nodes", NODE)

    @property
    def labels(self) -> dict[str, str]:
        labels: dict[str, str] = self.node["metadata"]["labels"]
        return labels

    @property
    def problems(self) -> dict[str, str]:
        found = self.running.services.readiness.problems() if self.running else {}
        return {check: problem for check, problem in found.items() if problem is not None}

    def flags(self, *more: str) -> list[str]:
        """With the folder, where no other place of configs is named."""
        where = [] if "--config-map" in more else ["--config-dir", str(self.configs)]
        return [
            "--node-name", NODE, "--kubeconfig", str(self.directory / "kubeconfig"), "--simulate", "h100x8",
            "--lock-dir", str(self.directory), "--http-address", "", *where, *more,
        ]  # fmt: skip

    def start(self) -> None:
        program = parse(self.flags())
        assert program is not None
        self.running = Running(program)
        self.running.start()

    def write(self, **configs: str) -> None:
        self.configs.mkdir(exist_ok=True)
        for name, text in configs.items():
            fresh = self.configs / "..fresh"
            fresh.write_text(text)
            fresh.rename(self.configs / name)

    def label(self, value: str | None) -> None:
        def change(node: dict[str, Any]) -> dict[str, Any]:
            labels = node["metadata"]["labels"]
            labels.pop(CONFIG, None)
            labels |= {CONFIG: value} if value else {}
            return node

        self.server.store.mutate("nodes", NODE, change)

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not true():
            assert time.monotonic() < deadline, f"it did not come true in time: {self.problems}, {self.labels}"
            time.sleep(0.005)


@pytest.fixture
def place() -> Iterator[Place]:
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gfd-test-")))
        server = stack.enter_context(ApiServer())
        server.add_node(NODE)
        server.write_kubeconfig(directory / "kubeconfig")
        made = Place(directory, server)
        yield made
        if made.running is not None:
            made.running.stop()


def test_labels_follow_the_label_and_new_content_and_what_is_wrong_changes_nothing(place: Place) -> None:
    place.write(default=SHARED % 2, four=SHARED % 4)
    place.start()
    place.until(lambda: place.labels.get(REPLICAS) == "2")
    place.label("four")
    place.until(lambda: place.labels[REPLICAS] == "4")
    assert place.labels["nvidia.com/gpu.product"].endswith("-SHARED")
    place.write(four=SHARED % 5)
    place.until(lambda: place.labels[REPLICAS] == "5")
    with capture_logs() as said:
        place.label("nowhere")
        place.until(lambda: "'nowhere', which is not there" in place.problems.get("gfd/config", ""))
        place.write(nowhere="sharing: {timeSlice: {}}")
        place.until(lambda: "did you mean timeSlicing" in place.problems["gfd/config"])
    assert [line["event"] for line in said if line.get("check") == "gfd/config"] == ["not_ready", "not_ready"]
    assert place.labels[REPLICAS] == "5"
    place.write(nowhere=SHARED % 3)
    place.until(lambda: place.labels[REPLICAS] == "3" and not place.problems)
    place.label(None)
    place.until(lambda: place.labels[REPLICAS] == "2")


def test_no_label_goes_while_nobody_knows_what_is_meant(place: Place) -> None:
    ours = {COUNT: "3", "nvidia.com/premium": "true"}
    api = NodeApi(NODE, kubeconfig=str(place.directory / "kubeconfig"), user_agent="test")
    api.apply_labels("gfd", ours, annotations={}, force=False)
    place.write(default="sharing: {timeSlice: {}}")
    place.start()
    place.until(lambda: "gfd/config" in place.problems and "has not" not in place.problems["gfd/config"])
    place.until(lambda: "gfd/published" not in place.problems)
    assert (place.labels[COUNT], place.labels["nvidia.com/premium"]) == ("3", "true")
    assert REPLICAS not in place.labels
    place.write(default="{}")
    place.until(lambda: place.labels[COUNT] == "8" and not place.problems)
    assert (place.labels[REPLICAS], place.labels.get("nvidia.com/premium")) == ("1", None)


def test_premium_rules_come_and_go_with_the_config(place: Place) -> None:
    place.write(default="{}", premium=PREMIUM)
    place.start()
    place.until(lambda: COUNT in place.labels)
    place.label("premium")
    place.until(lambda: place.labels.get("nvidia.com/premium") == "true")
    assert [taint["key"] for taint in place.node["spec"]["taints"]] == ["nvidia.com/premium"]
    place.label(None)
    place.until(lambda: "nvidia.com/premium" not in place.labels)
    place.until(lambda: not place.node["spec"].get("taints"))


def test_one_shot_asks_for_the_label_itself(place: Place) -> None:
    place.write(default=SHARED % 2, four=SHARED % 4)
    place.label("four")
    program = parse(place.flags("--oneshot"))
    assert program is not None
    assert program.once is not None
    assert program.once(Services())
    assert place.labels[REPLICAS] == "4"


def test_one_shot_asks_for_the_configmap_too(place: Place) -> None:
    place.label("four")
    body = {"metadata": {"name": "configs"}, "data": {"four": SHARED % 4}}
    target = Target(resource=resource_named("configmaps"), namespace="kube-system")
    place.server.api.create(target, body, Writer(manager="kubectl"))
    program = parse(place.flags("--oneshot", "--config-map", "kube-system/configs"))
    assert program is not None
    assert program.once is not None
    assert program.once(Services())
    assert place.labels[REPLICAS] == "4"
