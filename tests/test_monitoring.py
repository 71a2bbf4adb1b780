"""The alerts and the dashboard use existing metrics, labels and values."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gpu_core.domain.health import Phase
from gpu_core.domain.node_assessment import Reason
from gpu_core.domain.xid import XidClass
from gpu_exporter import families
from gpu_exporter.device_labels import HOSTNAME_LABELS, POD_NAMES
from gpu_exporter.fields import FIELDS
from gpu_toolkit.model import Reason as ToolkitReason
from mig_manager.outcome import Reason as MigReason
from node_core.runtime import metrics
from tests.promql import Selector, grouping_labels, selectors

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "manifests" / "monitoring"
AGENTS = {"nfd-lite", "gfd", "gpu-device-plugin"}
DASHBOARDS = ("dashboard.json", "gpu-dashboard.json")
JOBS = AGENTS | {"gpu-exporter", "gpu-operator", "gpunode"}
TARGET = {"node", "job", "namespace", "pod", "instance", "container"}
"""Labels that Prometheus and the PodMonitor add to every sample."""
OF_AGENTS = {
    f"gpunode_{metric.name}{'_total' if metric.kind == 'counter' else ''}": set(metric.labels) | TARGET
    for metric in metrics.ALL
} | {"up": TARGET}
DEVICE = TARGET | {"gpu", "UUID", "pci_bus_id", "device", "modelName", "GPU_I_PROFILE", "GPU_I_ID", *HOSTNAME_LABELS}
OF_GPUS: dict[str, set[str]] = {}
for name, more in (
    *((field.name, field.labels or ()) for field in FIELDS),
    *((family.name, family.labels) for family in (*families.SELECTABLE, *families.OWN, *families.OF_PODS)),
):
    OF_GPUS[name] = OF_GPUS.get(name, DEVICE) | set(more)
"""The series of gpu-exporter, with the labels that the ServiceMonitor adds."""
NOT_DEFAULT = {field.name for field in FIELDS if not field.is_default}
DECLARED = {name: OF_AGENTS.get(name, set()) | OF_GPUS.get(name, set()) for name in OF_AGENTS | OF_GPUS}
CLOSED: dict[str, set[str]] = {
    "phase": set(Phase),
    "reason": set(Reason)
    | set(MigReason)
    | set(ToolkitReason)
    | {(field.labels or {}).get("reason", "") for field in FIELDS},
    "agent": AGENTS,
    "job": JOBS,
    "kind": set(XidClass),
    "health": {"healthy", "unhealthy"},
    "namespace": {"$namespace"},
}
"""The allowed values of a label. The agents may run in any namespace, so only the variable of the dashboard selects one, of pods."""


def document(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return found


def alerts() -> list[dict[str, Any]]:
    return [rule for group in document("rules.yaml")["spec"]["groups"] for rule in group["rules"]]


def panels(dashboard: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FOLDER / dashboard).read_text())["panels"]
    return found


def expressions() -> Iterator[tuple[str, str]]:
    yield from ((alert["alert"], alert["expr"]) for alert in alerts())
    for dashboard in DASHBOARDS:
        yield from ((panel["title"], target["expr"]) for panel in panels(dashboard) for target in panel["targets"])


@pytest.mark.parametrize("expression", [each for _, each in expressions()], ids=[name for name, _ in expressions()])
def test_every_expression_uses_existing_metrics_labels_and_values(expression: str) -> None:
    found = list(selectors(expression))
    assert found
    for selector in found:
        assert selector.metric not in NOT_DEFAULT
        assert selector.values.keys() <= DECLARED[selector.metric], f"labels of {selector.metric}"
        for label, values in selector.values.items():
            if label in CLOSED:
                assert set(values) <= CLOSED[label], label
    groups = set.union(*(DECLARED[selector.metric] for selector in found))
    assert grouping_labels(expression) <= groups


def test_an_alert_covers_every_reason_but_those_that_need_no_action() -> None:
    covered = {
        reason
        for alert in alerts()
        for selector in selectors(alert["expr"])
        if selector.metric == "gpunode_gpu_ready_reason"
        for reason in selector.values["reason"]
    }
    assert set(Reason) - covered == {Reason.READY, Reason.NOT_DISCOVERED, Reason.RELEASED}
    assert any("gpunode_nvml_released" in alert["expr"] for alert in alerts()), "covers GPUsReleased"


def test_agents_are_absent_only_if_none_of_them_is_scraped() -> None:
    """nfd-lite need not run: another program may set the gate label. gpu-operator is not an agent of a node."""
    (absent,) = [alert["expr"] for alert in alerts() if alert["expr"].startswith("absent(")]
    assert [set(selector.values["job"]) for selector in selectors(absent)] == [JOBS - {"gpu-operator"}]


def test_the_documentation_lists_every_reason() -> None:
    text = (ROOT / "docs" / "reference" / "health.md").read_text()
    listed = re.findall(r"^\| `(\w+)` \| (True|False) \|", text, re.MULTILINE)
    only_doctor = {Reason.RELEASED, Reason.NOT_DISCOVERED}
    assert sorted(reason for reason, _ in listed) == sorted(set(Reason) - only_doctor)
    assert {reason for reason, status in listed if status == "True"} == {Reason.READY, Reason.SOME_UNHEALTHY}
    assert all(f"`{reason}`" in text for reason in only_doctor)


def test_every_metric_of_the_agents_and_every_series_of_pods_is_used() -> None:
    shown = {selector.metric for _, expression in expressions() for selector in selectors(expression)}
    assert shown >= OF_AGENTS.keys() | {family.name for family in families.OF_PODS}


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_the_variables_of_a_dashboard_use_existing_metrics_and_labels(dashboard: str) -> None:
    variables = json.loads((FOLDER / dashboard).read_text())["templating"]["list"]
    queries = [each["query"]["query"] for each in variables if each["type"] == "query"]
    assert queries
    for query in queries:
        (metric, label) = re.fullmatch(r"label_values\((\w+), (\w+)\)", query).groups()  # type: ignore[union-attr]
        assert label in DECLARED[metric]


NVIDIA_DASHBOARD = (
    "label_values(DCGM_FI_DEV_GPU_TEMP, instance)",
    "label_values(DCGM_FI_DEV_GPU_TEMP, gpu)",
    'DCGM_FI_DEV_GPU_TEMP{instance=~"$instance", gpu=~"$gpu"}',
    'avg(DCGM_FI_DEV_GPU_TEMP{instance=~"$instance", gpu=~"$gpu"})',
    'DCGM_FI_DEV_POWER_USAGE{instance=~"$instance", gpu=~"$gpu"}',
    'sum(DCGM_FI_DEV_POWER_USAGE{instance=~"$instance", gpu=~"$gpu"})',
    'DCGM_FI_DEV_SM_CLOCK{instance=~"$instance", gpu=~"$gpu"} * 1000000',
    'DCGM_FI_DEV_GPU_UTIL{instance=~"$instance", gpu=~"$gpu"}',
    'DCGM_FI_PROF_PIPE_TENSOR_ACTIVE{instance=~"$instance", gpu=~"$gpu"}',
    'DCGM_FI_DEV_FB_USED{instance=~"$instance", gpu=~"$gpu"}',
    "label_values(DCGM_FI_DEV_GPU_TEMP, Hostname)",
    'DCGM_FI_DEV_GPU_UTIL{Hostname=~"$Hostname", gpu=~"$gpu"}',
    'DCGM_FI_DEV_MEM_COPY_UTIL{Hostname=~"$Hostname", gpu=~"$gpu"}',
    'DCGM_FI_DEV_FB_USED{gpu=~"$gpu"} / (DCGM_FI_DEV_FB_USED{gpu=~"$gpu"} + DCGM_FI_DEV_FB_FREE{gpu=~"$gpu"})',
)
"""What NVIDIA's published dashboard 12239 and its usual variants query: the series and labels, not the text of the dashboard."""


@pytest.mark.parametrize("expression", NVIDIA_DASHBOARD)
def test_nvidias_dashboard_finds_its_series_and_labels_without_a_file_of_counters(expression: str) -> None:
    default = {field.name for field in FIELDS if field.is_default}
    found = list(
        selectors(
            expression.removeprefix("label_values(").partition(",")[0] if "label_values" in expression else expression
        )
    )
    assert found
    for selector in found:
        assert selector.metric in default
        assert selector.values.keys() <= DECLARED[selector.metric]
    if label := re.search(r", (\w+)\)$", expression):
        assert label[1] in DECLARED[found[0].metric]


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_the_texts_of_an_alert_use_existing_labels(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("warning", "critical")
    assert alert["annotations"].keys() == {"summary", "description", "runbook"}
    used = set(re.findall(r"\$labels\.(\w+)", str(alert["annotations"])))
    kept = grouping_labels(alert["expr"]) or TARGET
    assert used <= kept


def test_the_chart_contains_the_same_objects() -> None:
    for name in ("pod-monitor.yaml", "rules.yaml", "service-monitor.yaml"):
        copy = ROOT / "manifests" / "chart" / "gpunode" / "files" / name
        assert copy.read_text() == (FOLDER / name).read_text(), f"{copy} is outdated: run `make manifests`"


def test_every_alert_is_documented_and_has_a_unique_name() -> None:
    names = [alert["alert"] for alert in alerts()]
    assert len(names) == len(set(names))
    documented = re.findall(r"^\| `(GPU\w+)` \|", (ROOT / "docs" / "how-to" / "monitor.md").read_text(), re.MULTILINE)
    assert documented == names


def test_the_pod_monitor_selects_the_agents_and_an_existing_port() -> None:
    spec = document("pod-monitor.yaml")["spec"]
    (expression,) = spec["selector"]["matchExpressions"]
    assert set(expression["values"]) == JOBS
    (endpoint,) = spec["podMetricsEndpoints"]
    for agent in AGENTS:
        template = yaml.safe_load((ROOT / "manifests" / "base" / f"{agent}.yaml").read_text())["spec"]["template"]
        assert template["metadata"]["labels"][expression["key"]] == agent
        assert endpoint["port"] in {port["name"] for port in template["spec"]["containers"][0]["ports"]}
    assert [relabel["targetLabel"] for relabel in endpoint["relabelings"]] == ["node"]


def test_the_service_monitor_keeps_the_pods_of_the_metrics() -> None:
    spec = document("service-monitor.yaml")["spec"]
    (endpoint,) = spec["endpoints"]
    service, *_ = yaml.safe_load_all(
        (ROOT / "manifests" / "overlays" / "gpu-exporter" / "gpu-exporter.yaml").read_text()
    )
    assert spec["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    node, dropped = endpoint["relabelings"]
    assert node["targetLabel"] == "node"
    assert set(dropped["regex"].split("|")) == set(POD_NAMES), (
        "otherwise a GPU without pods has the pod of gpu-exporter"
    )
    assert endpoint["honorLabels"] is True


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_panels_do_not_overlap_and_have_unique_ids(dashboard: str) -> None:
    assert len({panel["id"] for panel in panels(dashboard)}) == len(panels(dashboard))
    cells = [
        (x, y)
        for panel in panels(dashboard)
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("up", [("up", {})]),
        ('a{b="c"} == 0', [("a", {"b": ("c",)})]),
        ('sum by (x, y) (rate(a_total{b=~"c|d"}[5m])) > 3', [("a_total", {"b": ("c", "d")})]),
        ("a and on (n) b or 0 * sum(c)", [("a", {}), ("b", {}), ("c", {})]),
        ('a{b="x{y}[z] up"} offset 5m', [("a", {"b": ("x{y}[z] up",)})]),
        ("changes((a or b)[1h:1m])", [("a", {}), ("b", {})]),
    ],
    ids=lambda value: str(value)[:20],
)
def test_the_metrics_of_an_expression_are_parsed(expression: str, found: list[tuple[str, dict[str, Any]]]) -> None:
    assert list(selectors(expression)) == [Selector(metric=metric, values=values) for metric, values in found]
