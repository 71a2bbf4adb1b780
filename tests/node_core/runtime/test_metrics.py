"""The metrics of a process in the Prometheus text format."""

import pytest

from node_core.runtime.metrics import ALL, COLLECTOR_FAILED, LOG_LINES_LOST, PASS_SECONDS, PASSES, Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def samples(metrics: Metrics) -> set[str]:
    """The lines that start with the name of a metric."""
    return {line for line in metrics.render().decode().splitlines() if line.startswith("gpunode_")}


def test_a_counter_increases_by_one_or_by_an_amount(metrics: Metrics) -> None:
    metrics.add(PASSES, agent="gfd")
    metrics.add(PASSES, agent="gfd")
    metrics.add(PASSES, 5, agent="nfd-lite")
    metrics.add(LOG_LINES_LOST, 3)
    assert samples(metrics) == {
        'gpunode_passes_total{agent="gfd"} 2.0',
        'gpunode_passes_total{agent="nfd-lite"} 5.0',
        "gpunode_log_lines_lost_total 3.0",
    }


def test_a_gauge_has_its_last_value(metrics: Metrics) -> None:
    for seconds in (2.5, 0.5):
        metrics.set(PASS_SECONDS, seconds, agent="gfd")
    assert 'gpunode_pass_seconds{agent="gfd"} 0.5' in samples(metrics)


def test_a_replacement_removes_the_other_samples_of_the_same_agent(metrics: Metrics) -> None:
    metrics.replace(COLLECTOR_FAILED, "gfd", {("gfd", "nvml"): 1, ("gfd", "machine"): 0})
    metrics.replace(COLLECTOR_FAILED, "nfd-lite", {("nfd-lite", "pci"): 1})
    metrics.replace(COLLECTOR_FAILED, "gfd", {("gfd", "machine"): 1})
    metrics.replace(COLLECTOR_FAILED, "gfd", {("gfd", "machine"): 1})
    assert {line for line in samples(metrics) if "collector_failed" in line} == {
        'gpunode_collector_failed{agent="gfd",collector="machine"} 1.0',
        'gpunode_collector_failed{agent="nfd-lite",collector="pci"} 1.0',
    }
    metrics.replace(COLLECTOR_FAILED, "gfd", {})
    assert 'gpunode_collector_failed{agent="gfd",collector="machine"} 1.0' not in samples(metrics)


def test_each_metric_has_a_name_of_its_own_and_a_sentence() -> None:
    assert len({metric.name for metric in ALL}) == len(ALL)
    assert all(metric.help.endswith(".") for metric in ALL)
