"""Rules on the labels of the Node: labels of gfd, no labels of rules, and nothing before the Node is known."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from nfd_lite.collector import Collector
from nfd_lite.cpu.cpuid_decode import CpuInfo
from nfd_lite.merge import NodeContext, merge_node_features
from nfd_lite.node_labels import parse_node_labels, select_foreign_labels
from nfd_lite.rule_pass import Rules, RuleSettings
from nfd_lite.rule_reporter import RuleReporter
from nfd_lite.settings import NfdSettings
from nfd_lite.sources import Host
from node_core.domain.desired import Desired, Outputs, complete
from node_core.domain.features import Features
from node_core.domain.node import NodeView
from node_core.domain.taints import Taint
from node_core.errors import SettingsError
from node_core.host.root import HostRoot
from node_core.runtime.services import Services
from node_core.values import replace

H100 = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.memory": "81559"}
NODE = NodeView(
    name="n1",
    uid="u",
    resource_version="1",
    labels={**H100, "nvidia.com/gfd.timestamp": "1", "vendor.io/own": "1"},
    owned={"gfd": frozenset(H100), "nfd-lite": frozenset({"vendor.io/own"})},
)
TAINT = Taint(key="nvidia.com/gpu.premium", value="true", effect="NoSchedule")
EXPRESSIONS = {
    "nvidia.com/gpu.product": {"op": "InRegexp", "value": ["H100"]},
    "nvidia.com/gpu.memory": {"op": "Gt", "value": ["80000"]},
}


def rule(expressions: Mapping[str, Any], **outputs: Any) -> dict[str, Any]:
    return {"name": "r", "matchFeatures": [{"feature": "node.label", "matchExpressions": expressions}], **outputs}


PREMIUM = rule(
    EXPRESSIONS,
    labels={"nvidia.com/gpu.premium": "true"},
    taints=[{"key": TAINT.key, "value": TAINT.value, "effect": TAINT.effect}],
)


class Fixed:
    """An informer with a fixed state."""

    def __init__(self, *rules: dict[str, Any]) -> None:
        metadata = {"name": "a", "uid": "a", "generation": 1}
        self.state: Mapping[str, Mapping[str, Any]] | None = {
            "a": {
                "apiVersion": "nfd.k8s-sigs.io/v1alpha1",
                "kind": "NodeFeatureRule",
                "metadata": metadata,
                "spec": {"rules": list(rules)},
            }
        }


def collector(root: Path, *rules: dict[str, Any], taints: bool = True, exposes_node_labels: bool = True) -> Collector:
    for folder in ("proc/x", "sys/x"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    services, base = Services(), HostRoot(root)
    reporter = RuleReporter(None, agent="nfd-lite", node_name="n1", services=services)
    context = NodeContext(node_name="n1", namespace="")
    settings = NfdSettings(
        label_sources=frozenset(),
        publish="node" if exposes_node_labels else "file",
        rules=RuleSettings(taints=taints),
    )
    host = Host(root=base, cpu=lambda _: CpuInfo(arch="x86_64", method="nothing"))
    rules_ = Rules(settings.rules, base, reporter, context=context, cluster=Fixed(*rules))
    return Collector(host, settings, rules_, services.readiness)


def outputs(desired: Desired, published: Outputs | None = None) -> Outputs:
    return complete(desired, published or Outputs())


def test_a_rule_matches_labels_of_gfd(tmp_path: Path) -> None:
    found = outputs(collector(tmp_path, PREMIUM)(NODE))
    assert found.labels["nvidia.com/gpu.premium"] == "true"
    assert found.taints == {TAINT.identity: TAINT}
    other = replace(NODE, labels={**H100, "nvidia.com/gpu.memory": "15360"})
    assert outputs(collector(tmp_path, PREMIUM)(other), found).taints == {}


def test_while_the_node_is_unknown_outputs_of_rules_on_node_labels_do_not_change(tmp_path: Path) -> None:
    collect = collector(tmp_path, PREMIUM)
    before = Outputs(labels={"nvidia.com/gpu.premium": "true", "vendor.io/gone": "1"}, taints={TAINT.identity: TAINT})
    retained = outputs(collect(None), before)
    assert (retained.labels.get("nvidia.com/gpu.premium"), retained.taints) == ("true", before.taints)
    assert "vendor.io/gone" not in retained.labels, "a label that no rule declares is not frozen"
    assert outputs(collect(None)).taints == {}


def test_taints_are_off_by_default(tmp_path: Path) -> None:
    found = outputs(collector(tmp_path, PREMIUM, taints=False)(NODE), Outputs(taints={TAINT.identity: TAINT}))
    assert (found.labels["nvidia.com/gpu.premium"], found.taints) == ("true", {})


def test_rules_see_neither_their_own_labels_nor_timestamps() -> None:
    assert select_foreign_labels(NODE) == H100


def test_a_rule_that_publishes_the_label_it_requires_does_not_loop(tmp_path: Path) -> None:
    asks = rule({"vendor.io/own": {"op": "DoesNotExist"}}, labels={"vendor.io/own": "1"})
    collect = collector(tmp_path, asks)
    without = replace(NODE, labels=H100, owned={})
    assert outputs(collect(without)).labels["vendor.io/own"] == "1"
    assert outputs(collect(NODE)).labels["vendor.io/own"] == "1"


def test_rules_see_no_node_labels_if_labels_are_not_published_to_the_node(tmp_path: Path) -> None:
    assert outputs(collector(tmp_path, PREMIUM, exposes_node_labels=False)(NODE)).taints == {}


def test_a_node_feature_cannot_set_node_labels() -> None:
    obj = {
        "metadata": {"name": "x", "namespace": "y"},
        "spec": {"features": {"attributes": {"Node.Label": {"elements": {"a": "1"}}}}},
    }
    merged = merge_node_features(
        Features(), [obj], context=NodeContext(node_name="n1", namespace=""), resolve_label=lambda _, value, __: value
    )
    assert merged.features == Features()
    assert [each.why for each in merged.problems] == ["only the labels of the Node itself count"]


@pytest.mark.parametrize(
    "text",
    [
        "kind: Node\nmetadata: {name: n, labels: {a/b: '1', nvidia.com/gfd.timestamp: '2'}}\n",
        '{"kind": "Node", "metadata": {"labels": {"a/b": "1"}}}',
        "# of gfd\na/b=1\n",
    ],
    ids=["yaml", "json", "lines"],
)
def test_node_labels_are_parsed_in_the_formats_of_kubectl_and_gfd(text: str) -> None:
    assert parse_node_labels(text, "f") == {"a/b": "1"}


@pytest.mark.parametrize(
    "text", ["kind: Node\n", "- a: b\n", "metadata: {labels: {a: 1}}", "a: {b: c}\n---\na: {}"], ids=repr
)
def test_input_without_labels_is_an_error(text: str) -> None:
    with pytest.raises(SettingsError, match="expected a Node object with labels"):
        parse_node_labels(text, "f")
