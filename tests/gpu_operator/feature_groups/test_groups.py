"""What is evaluated again, and the members of a group."""

from typing import Any

import pytest

from gpu_operator.feature_groups import groups as module
from gpu_operator.feature_groups.evaluate import evaluate
from gpu_operator.feature_groups.groups import GroupEvaluation, NodeTable
from gpu_operator.feature_groups.values import UNKNOWN, ValuePool
from gpu_operator.feature_groups.views import NodeFeatureView, NodeMetadata
from nfd_lite.merge import MAX_ELEMENTS
from nfd_lite.rules.work import WorkLimits
from node_core.domain.features import Features
from tests.gpu_operator.feature_groups.objects import KERNEL, NAMESPACE, group, nodes, rule, term, view

NEW_KERNEL = rule(matchFeatures=[term("kernel.version", major=("Gt", "5"))])


class Cluster:
    """A table of Nodes with settable objects."""

    def __init__(self, *names: str, features: Features = KERNEL) -> None:
        self.pool = ValuePool()
        self.table = NodeTable(NAMESPACE)
        self.nodes: dict[str, NodeMetadata] = nodes(*names)
        self.objects: dict[str, NodeFeatureView] = {}
        for name in names:
            self.publish(name, features)

    def publish(self, node: str, features: Features, *, name: str | None = None, namespace: str = NAMESPACE) -> None:
        made = view(node, features, self.pool, name=name, namespace=namespace)
        self.objects = {**self.objects, f"{namespace}/{made.name}": made}

    def update(self) -> set[str]:
        return self.table.update(dict(self.nodes), self.objects)


@pytest.fixture
def evaluations(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    seen: list[Any] = []

    def count(*arguments: Any) -> Any:
        seen.append(arguments)
        return evaluate(*arguments)

    monkeypatch.setattr(module, "evaluate", count)
    return seen


def test_nodes_with_equal_features_are_evaluated_once(evaluations: list[Any]) -> None:
    cluster, wanted = Cluster("a", "b", "c"), group(NEW_KERNEL)
    evaluation = GroupEvaluation(wanted)
    assert evaluation.update(cluster.table.facts, cluster.update())
    assert evaluation.result(wanted).members == ("a", "b", "c")
    assert len(evaluations) == 1


def test_only_a_changed_node_is_evaluated_again(evaluations: list[Any]) -> None:
    cluster, wanted = Cluster("a", "b"), group(NEW_KERNEL)
    evaluation = GroupEvaluation(wanted)
    evaluation.update(cluster.table.facts, cluster.update())
    assert cluster.update() == set()
    cluster.publish("b", Features(attributes={"kernel.version": {"major": "5"}}))
    assert cluster.update() == {"b"}
    assert evaluation.update(cluster.table.facts, {"b"})
    assert evaluation.result(wanted).members == ("a",)
    assert len(evaluations) == 2


def test_a_change_that_no_rule_reads_is_not_evaluated(evaluations: list[Any]) -> None:
    cluster, wanted = Cluster("a"), group(NEW_KERNEL)
    evaluation = GroupEvaluation(wanted)
    evaluation.update(cluster.table.facts, cluster.update())
    cluster.nodes = nodes("a", labels={"x": "y"})
    assert not evaluation.update(cluster.table.facts, cluster.update())
    assert len(evaluations) == 1


def test_an_equal_object_of_a_new_list_is_no_change() -> None:
    cluster = Cluster("a")
    cluster.update()
    cluster.publish("a", KERNEL)
    cluster.nodes = nodes("a")
    assert cluster.update() == set()


def test_a_node_that_is_gone_leaves_and_one_that_returns_joins() -> None:
    cluster, wanted = Cluster("a", "b"), group(NEW_KERNEL)
    evaluation = GroupEvaluation(wanted)
    evaluation.update(cluster.table.facts, cluster.update())
    gone = cluster.nodes.pop("b")
    assert evaluation.update(cluster.table.facts, cluster.update())
    assert evaluation.result(wanted).members == ("a",)
    cluster.nodes["b"] = gone
    evaluation.update(cluster.table.facts, cluster.update())
    assert evaluation.result(wanted).members == ("a", "b")


def test_an_object_of_a_node_that_does_not_exist_has_no_effect() -> None:
    cluster, wanted = Cluster("a"), group(NEW_KERNEL)
    cluster.publish("ghost", KERNEL)
    evaluation = GroupEvaluation(wanted)
    evaluation.update(cluster.table.facts, cluster.update())
    assert evaluation.result(wanted).members == ("a",)


def test_objects_of_other_programs_add_features_and_replace_attributes() -> None:
    cluster = Cluster("a")
    other = Features(attributes={"kernel.version": {"major": "9"}}, instances={"pci.device": ({"vendor": "10de"},)})
    cluster.publish("a", other, name="vendor", namespace="other")
    cluster.update()
    values = cluster.table.facts["a"].values
    assert values["kernel.version"].attributes == {"major": "9", "full": "6.1.0"}
    assert values["pci.device"].instances == ({"vendor": "10de"},)
    assert values["system.name"].attributes == {"nodename": "a"}


def test_the_labels_of_the_node_are_a_feature_and_fill_in_what_no_object_has() -> None:
    label = "feature.node.kubernetes.io/kernel-version.major"
    cluster = Cluster("a")
    cluster.nodes |= nodes("b", labels={label: "7"})
    cluster.update()
    facts = cluster.table.facts["b"]
    assert facts.values["node.label"].attributes == {label: "7"}
    assert facts.values["kernel.version"].is_partial
    assert facts.find("pci.device") is UNKNOWN
    assert facts.find("vendor.feature") is None
    assert cluster.table.facts["a"].find("pci.device") is None
    wanted = group(NEW_KERNEL)
    evaluation = GroupEvaluation(wanted)
    evaluation.update(cluster.table.facts, ())
    assert evaluation.result(wanted).members == ("a", "b")


def test_a_node_on_which_a_rule_fails_neither_joins_nor_leaves() -> None:
    cluster = Cluster("in", "out", features=Features(attributes={"kernel.version": {"major": "six"}}))
    wanted = group(NEW_KERNEL, status={"nodes": [{"name": "in"}]})
    evaluation = GroupEvaluation(wanted)
    evaluation.update(cluster.table.facts, cluster.update())
    result = evaluation.result(wanted)
    assert result.members == ("in",)
    assert result.verdicts.keys() == {"in", "out"}


def test_a_group_that_exceeds_its_limit_keeps_its_nodes_and_is_not_evaluated_again(evaluations: list[Any]) -> None:
    cluster, wanted = Cluster("a", "b"), group(NEW_KERNEL, status={"nodes": [{"name": "z"}]})
    evaluation = GroupEvaluation(wanted, WorkLimits(total=1))
    assert evaluation.update(cluster.table.facts, cluster.update())
    result = evaluation.result(wanted)
    assert result.members == ("z",)
    assert result.stopped is not None
    assert not evaluation.update(cluster.table.facts, {"a"})
    assert len(evaluations) == 1


def test_the_features_of_an_object_that_is_too_large_are_not_known() -> None:
    cluster = Cluster()
    cluster.nodes = nodes("a")
    cluster.publish("a", Features(attributes={"kernel.config": dict.fromkeys(map(str, range(MAX_ELEMENTS)), "y")}))
    cluster.update()
    facts = cluster.table.facts["a"]
    assert facts.find("kernel.config") is UNKNOWN
    assert len(cluster.objects[f"{NAMESPACE}/a"].problems) == 1


def test_a_feature_of_an_object_that_is_too_large_is_not_known_although_another_object_has_a_part() -> None:
    cluster = Cluster("a")
    large = Features(attributes={"kernel.version": dict.fromkeys(map(str, range(MAX_ELEMENTS)), "y")})
    cluster.publish("a", large, name="vendor")
    cluster.update()
    assert cluster.table.facts["a"].values["kernel.version"].is_partial


def test_the_object_of_an_agent_contains_all_features_also_on_a_labelled_node() -> None:
    cluster = Cluster("a")
    cluster.nodes = nodes("a", labels={"feature.node.kubernetes.io/system-os_release.ID": "debian"})
    cluster.update()
    facts = cluster.table.facts["a"]
    assert facts.find("system.osrelease") is None
    assert facts.find("pci.device") is None
