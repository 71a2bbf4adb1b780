"""The process gfd with a simulated API server: configs selected by a label."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gfd.__main__ import parse
from gpu_core.host.release_requests import FOLDER, write_request
from node_core.domain.taints import GFD_TAINTS_ANNOTATION, Taint, TaintPlan, render_taint
from node_core.kube.client import NodeApi
from node_core.runtime.process import ProcessRunner
from node_core.runtime.services import Services
from simulation.apiserver import ApiServer
from simulation.apiserver.resources import resource_named
from simulation.apiserver.writes import Target, Writer
from tests.waiting import until

NODE = "n1"
CONFIG = "nvidia.com/device-plugin.config"
COUNT, REPLICAS = "nvidia.com/gpu.count", "nvidia.com/gpu.replicas"
SHARED = "sharing: {timeSlicing: {resources: [{name: gpu, replicas: %d}]}}"


@dataclass
class Place:
    """A node with the config folder `configs`."""

    directory: Path
    server: ApiServer
    running: ProcessRunner | None = None

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
        """Returns the flags, with the config folder as the default location."""
        where = [] if "--config-map" in more else ["--config-dir", str(self.configs)]
        return [
            "--node-name", NODE, "--kubeconfig", str(self.directory / "kubeconfig"), "--simulate", "h100x8",
            "--lock-dir", str(self.directory), "--http-address", "", *where, *more,
        ]  # fmt: skip

    def start(self) -> None:
        program = parse(self.flags())
        assert program is not None
        self.running = ProcessRunner(program)
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
        until(true, lambda: (self.problems, self.labels))


@pytest.fixture
def place() -> Iterator[Place]:
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gfd-test-")))
        server = stack.enter_context(ApiServer())
        server.add_node(NODE)
        server.write_kubeconfig(directory / "kubeconfig")
        built = Place(directory, server)
        yield built
        if built.running is not None:
            built.running.stop()


@pytest.mark.exhaustive
def test_labels_follow_the_selected_config_and_an_invalid_config_changes_nothing(place: Place) -> None:
    place.write(default=SHARED % 2, four=SHARED % 4)
    place.start()
    place.until(lambda: place.labels.get(REPLICAS) == "2")
    place.label("four")
    place.until(lambda: place.labels[REPLICAS] == "4")
    assert place.labels["nvidia.com/gpu.product"].endswith("-SHARED")
    place.write(four=SHARED % 5)
    place.until(lambda: place.labels[REPLICAS] == "5")
    with capture_logs() as lines:
        place.label("nowhere")
        place.until(lambda: "'nowhere', which does not exist" in place.problems.get("gfd/config", ""))
        place.write(nowhere="sharing: {timeSlice: {}}")
        place.until(lambda: "did you mean timeSlicing" in place.problems["gfd/config"])
    assert [line["event"] for line in lines if line.get("check") == "gfd/config"] == ["not_ready", "not_ready"]
    assert place.labels[REPLICAS] == "5"
    place.write(nowhere=SHARED % 3)
    place.until(lambda: place.labels[REPLICAS] == "3" and not place.problems)
    place.label(None)
    place.until(lambda: place.labels[REPLICAS] == "2")


def test_no_label_is_removed_while_the_selected_config_is_unknown(place: Place) -> None:
    own = {COUNT: "3", "nvidia.com/premium": "true"}
    api = NodeApi(NODE, kubeconfig=str(place.directory / "kubeconfig"), user_agent="test")
    api.apply_labels("gfd", own, annotations={}, force=False)
    place.write(default="sharing: {timeSlice: {}}")
    place.start()
    place.until(lambda: "gfd/config" in place.problems and "has not" not in place.problems["gfd/config"])
    place.until(lambda: "gfd/published" not in place.problems)
    assert (place.labels[COUNT], place.labels["nvidia.com/premium"]) == ("3", "true")
    assert REPLICAS not in place.labels
    place.write(default="{}")
    place.until(lambda: place.labels[COUNT] == "8" and not place.problems)
    assert (place.labels[REPLICAS], place.labels.get("nvidia.com/premium")) == ("1", None)


def test_taints_and_labels_of_premium_rules_of_an_earlier_version_are_removed(place: Place) -> None:
    foreign, own = Taint(key="example.com/x", effect="NoSchedule"), Taint(key="nvidia.com/premium", effect="NoSchedule")
    api = NodeApi(NODE, kubeconfig=str(place.directory / "kubeconfig"), user_agent="test")
    api.apply_labels("gfd", {"nvidia.com/premium": "true"}, annotations={}, force=False)
    plan = TaintPlan(taints=(render_taint(foreign), render_taint(own)), owned=frozenset({own}))
    api.set_taints("gfd", plan, api.get(), taints_annotation=GFD_TAINTS_ANNOTATION)
    place.write(default="{}")
    place.start()
    place.until(lambda: COUNT in place.labels)
    assert "nvidia.com/premium" not in place.labels
    assert place.node["spec"]["taints"] == [render_taint(foreign)]
    assert GFD_TAINTS_ANNOTATION not in place.node["metadata"].get("annotations", {})


def test_one_shot_reads_the_label_from_the_api_server(place: Place) -> None:
    place.write(default=SHARED % 2, four=SHARED % 4)
    place.label("four")
    program = parse(place.flags("--oneshot"))
    assert program is not None
    assert program.once is not None
    assert program.once(Services())
    assert place.labels[REPLICAS] == "4"


def test_one_shot_reports_that_nvml_is_released(place: Place) -> None:
    write_request(place.directory / FOLDER, "manual", 3600)
    place.write(default=SHARED % 2)
    program = parse(place.flags("--oneshot"))
    assert program is not None
    assert program.once is not None
    services = Services()
    assert program.once(services)
    assert "a release request keeps NVML closed" in str(services.readiness.problems()["gfd/gpus"])
    assert COUNT not in place.labels


def test_one_shot_reads_the_config_map_from_the_api_server(place: Place) -> None:
    place.label("four")
    body = {"metadata": {"name": "configs"}, "data": {"four": SHARED % 4}}
    target = Target(resource=resource_named("configmaps"), namespace="kube-system")
    place.server.api.create(target, body, Writer(manager="kubectl"))
    program = parse(place.flags("--oneshot", "--config-map", "kube-system/configs"))
    assert program is not None
    assert program.once is not None
    assert program.once(Services())
    assert place.labels[REPLICAS] == "4"
