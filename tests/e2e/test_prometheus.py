"""Prometheus accepts the alerts and dashboards, and scrapes gpu-exporter with simulated GPUs and a simulated kubelet."""

import tempfile
from pathlib import Path

import pytest

from tests.e2e.prometheus import check_expression, check_rules
from tests.e2e.scenarios.metrics import prometheus_returns_the_pod_of_each_device
from tests.e2e.simulated import SimulatedWorld
from tests.e2e.timings import Timings
from tests.test_monitoring import DASHBOARDS, alerts, panels

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def test_promtool_accepts_every_alert() -> None:
    assert f"SUCCESS: {len(alerts())} rules found" in check_rules()


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_promtool_accepts_every_expression_of_a_dashboard(dashboard: str) -> None:
    for panel in panels(dashboard):
        for target in panel["targets"]:
            check_expression(target["expr"].replace("$__rate_interval", "5m"))


def test_prometheus_returns_the_pod_of_each_device_without_a_cluster() -> None:
    """The scenario of the real cluster, for a machine without root."""
    with tempfile.TemporaryDirectory(prefix="gpunode-test-") as folder:
        world = SimulatedWorld(Path(folder), Timings())
        try:
            world.open()
            prometheus_returns_the_pod_of_each_device(world)
        finally:
            world.close()
