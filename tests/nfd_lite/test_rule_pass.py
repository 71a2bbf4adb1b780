"""Rules of all origins over the lifetime of an agent: published outputs, and outputs that are retained after errors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from nfd_lite.merge import NodeContext
from nfd_lite.rule_pass import MAX_ANNOTATIONS, CachedEvaluation, RuleInformers, Rules, RuleSettings
from nfd_lite.rule_reporter import RuleReporter
from nfd_lite.rules.custom import decode_custom_rules
from nfd_lite.rules.evaluate import EvaluationContext
from nfd_lite.rules.model import Outcome
from node_core.domain.desired import Desired, NameHistory, Outputs, complete
from node_core.domain.features import Features
from node_core.domain.labels import Labels
from node_core.domain.taints import Taint
from node_core.host.root import HostRoot
from node_core.runtime.services import Services

FPGA = Features(instances={"pci.device": ({"class": "1200", "vendor": "10ee"},)})
PREFIX = "feature.node.kubernetes.io/"
CUSTOM_DIR = "etc/kubernetes/node-feature-discovery/custom.d"


class Fixed:
    """An informer with a fixed state."""

    def __init__(self, state: Mapping[str, Mapping[str, Any]] | None) -> None:
        self.state = state


def nfr(name: str, *rules: dict[str, Any], generation: int = 1) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "apiVersion": "nfd.k8s-sigs.io/v1alpha1",
            "kind": "NodeFeatureRule",
            "metadata": {"name": name, "uid": f"uid-{name}", "generation": generation},
            "spec": {"rules": list(rules)},
        }
    }


def fpga(**outputs: Any) -> dict[str, Any]:
    terms = [{"feature": "pci.device", "matchExpressions": {"vendor": {"op": "In", "value": ["10ee"]}}}]
    return {"name": "fpga", "matchFeatures": terms, **outputs}


def too_many_patterns(name: str, *rules: dict[str, Any], generation: int = 1) -> dict[str, dict[str, Any]]:
    """An object that cannot be decoded."""
    terms = [{"feature": "x.y", "matchName": {"op": "InRegexp", "value": ["a"] * 501}}]
    return nfr(name, *rules, {"name": "many", "matchFeatures": terms}, generation=generation)


class Bench:
    """Rules on a host, with simulated objects of the cluster."""

    def __init__(self, tmp_path: Path, settings: RuleSettings | None = None, *, merge: bool = False) -> None:
        self.drop_ins = tmp_path / CUSTOM_DIR
        self.drop_ins.mkdir(parents=True)
        self.cluster = Fixed({})
        self.others = Fixed({})
        self.services = Services()
        self.outputs = Outputs()
        self.history = NameHistory()
        self.rules = Rules(
            settings or RuleSettings(),
            HostRoot(tmp_path),
            RuleReporter(None, agent="nfd-lite", node_name="n1", services=self.services),
            context=NodeContext(node_name="n1", namespace="gpunode"),
            cluster=self.cluster,
            others=self.others if merge else None,
        )

    def restarted(self, folder: Path) -> "Bench":
        """A new process, which knows only the outputs on the Node."""
        folder.mkdir()
        again = Bench(folder)
        again.outputs = self.outputs
        return again

    @property
    def published(self) -> Labels:
        return self.outputs.labels

    @published.setter
    def published(self, labels: Labels) -> None:
        self.outputs = Outputs(labels=labels)

    def evaluate(self, features: Features = FPGA, unavailable_features: frozenset[str] = frozenset()) -> Labels:
        """Returns the labels that are published after an evaluation."""
        found = self.rules.evaluate(features, unavailable_features)
        results = self.history.add((*found.custom, *found.cluster))
        self.outputs = complete(Desired(results=results), self.outputs)
        return self.published


def test_rules_publish_labels_annotations_taints_and_resources(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    taint = {"key": "vendor.io/fpga", "value": "yes", "effect": "NoSchedule"}
    outputs = {"annotations": {"note": "has an FPGA"}, "extendedResources": {"vendor.io/fpga": "2"}, "taints": [taint]}
    bench.cluster.state = nfr("a", fpga(labels={"fpga": "true"}, **outputs))
    assert bench.evaluate() == {f"{PREFIX}fpga": "true"}
    made = bench.outputs
    assert made.annotations == {f"{PREFIX}note": "has an FPGA"}
    assert made.extended_resources == {"vendor.io/fpga": "2"}
    assert list(made.taints.values()) == [Taint(key="vendor.io/fpga", value="yes", effect="NoSchedule")]
    assert bench.evaluate(Features(instances={"pci.device": ()})) == {}
    assert bench.outputs == Outputs()


def test_before_the_first_list_of_rules_nothing_is_removed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.published = {f"{PREFIX}fpga": "true", "vendor.io/x": "1"}
    bench.cluster.state = None
    with capture_logs() as lines:
        assert bench.evaluate() == {f"{PREFIX}fpga": "true", "vendor.io/x": "1"}
    why = "Waiting for the first list of NodeFeatureRules. Existing labels remain."
    assert [(line["log_level"], line["why"]) for line in lines] == [("info", why)]
    bench.cluster.state = nfr("a", fpga(labels={"fpga": "true"}))
    assert bench.evaluate() == {f"{PREFIX}fpga": "true"}
    assert bench.services.readiness.problems()["nfd-lite/rules-known"] is None


def test_a_rule_that_becomes_invalid_retains_its_outputs_and_affects_no_other(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.cluster.state = nfr("a", fpga(labels={"fpga": "true"})) | nfr("b", fpga(labels={"b": "1"}))
    bench.evaluate()
    broken = fpga(labels={"fpga": "false"}, labelsTemplate="{{ .nothing }")
    bench.cluster.state = nfr("a", broken, generation=2) | nfr("b", fpga(labels={"b": "2"}), generation=2)
    assert bench.evaluate() == {f"{PREFIX}fpga": "true", f"{PREFIX}b": "2"}


def test_an_invalid_object_keeps_its_last_rules_and_is_unknown_after_a_restart(tmp_path: Path) -> None:
    invalid = too_many_patterns("a", fpga(labels={"fpga": "true"}), generation=2)
    bench = Bench(tmp_path)
    bench.cluster.state = nfr("a", fpga(labels={"fpga": "true"}))
    bench.evaluate()
    bench.cluster.state = invalid
    assert bench.evaluate() == {f"{PREFIX}fpga": "true"}
    (tmp_path / "again").mkdir()
    restarted = Bench(tmp_path / "again")
    restarted.published = {f"{PREFIX}fpga": "true"}
    restarted.cluster.state = invalid
    assert restarted.evaluate() == {f"{PREFIX}fpga": "true"}


def test_rules_of_the_config_file_and_drop_ins_are_added_to_the_built_in_rules(tmp_path: Path) -> None:
    configured = decode_custom_rules(
        [{"name": "c", "labels": {"c": "1"}, "matchFeatures": [{"feature": "pci.device"}]}]
    )
    bench = Bench(tmp_path, RuleSettings(configured=(configured,)))
    (bench.drop_ins / "d.yaml").write_text(
        "- {name: d, labels: {vendor.io/d: '1'}, matchFeatures: [{feature: rule.matched, matchExpressions: {c: ['1']}}]}"
    )
    mellanox = Features(instances={"pci.device": ({"class": "0207", "vendor": "15b3"},)})
    assert bench.evaluate(mellanox) == {f"{PREFIX}c": "1", f"{PREFIX}rdma.capable": "true", "vendor.io/d": "1"}
    (bench.drop_ins / "d.yaml").write_text("- {name: ")
    assert bench.evaluate(mellanox)["vendor.io/d"] == "1"
    (bench.drop_ins / "d.yaml").unlink()
    assert "vendor.io/d" not in bench.evaluate(mellanox)


def test_node_features_are_merged_only_if_enabled_and_rules_see_them(tmp_path: Path) -> None:
    theirs = {
        "vendor/n1-extra": {
            "metadata": {"name": "n1-extra", "namespace": "vendor"},
            "spec": {
                "labels": {"vendor.io/theirs": "1", "node-role.kubernetes.io/control-plane": ""},
                "features": {"flags": {"vendor.thing": {"elements": {"X": {}}}}},
            },
        }
    }
    rule = {"name": "r", "labels": {"seen": "1"}, "matchFeatures": [{"feature": "vendor.thing"}]}
    for merge, expected in ((True, {"vendor.io/theirs": "1", f"{PREFIX}seen": "1"}), (False, {})):
        (tmp_path / str(merge)).mkdir()
        bench = Bench(tmp_path / str(merge), merge=merge)
        bench.others.state = theirs
        bench.cluster.state = nfr("a", rule)
        assert bench.evaluate(Features()) == expected
    bench = Bench(tmp_path / "unknown", merge=True)
    bench.others.state = None
    bench.published = {"vendor.io/theirs": "1"}
    assert bench.evaluate(Features()) == {"vendor.io/theirs": "1"}


def test_a_rule_that_never_worked_retains_no_outputs_of_others(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.cluster.state = nfr("good", fpga(labels={"good": "1"}))
    bench.evaluate()
    broken = nfr("broken", fpga(labelsTemplate="{{ bad"))
    bench.cluster.state = nfr("good", fpga(labels={"good": "1"})) | broken
    assert bench.evaluate() == {f"{PREFIX}good": "1"}
    bench.cluster.state = broken
    assert bench.evaluate() == {}
    assert bench.services.readiness.problems()["nfd-lite/rules-known"] is None


def test_after_a_restart_a_rule_with_an_invalid_template_retains_labels_that_nothing_else_had(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.published = {f"{PREFIX}whose": "1"}
    bench.cluster.state = nfr("broken", fpga(labelsTemplate="{{ bad"))
    with capture_logs() as lines:
        assert bench.evaluate() == {f"{PREFIX}whose": "1"}
    assert {line["log_level"] for line in lines} == {"warning"}
    assert bench.services.readiness.problems()["nfd-lite/rules-known"] is None


def test_an_unavailable_feature_removes_nothing_even_after_a_restart(tmp_path: Path) -> None:
    rule = nfr("a", fpga(labels={"fpga": "true"}, extendedResources={"vendor.io/fpga": "2"}))
    bench = Bench(tmp_path)
    bench.cluster.state = rule
    bench.evaluate()
    before = bench.outputs
    bench.evaluate(Features(), frozenset({"pci.device"}))
    assert bench.outputs == before
    assert before.extended_resources == {"vendor.io/fpga": "2"}
    restarted = bench.restarted(tmp_path / "again")
    restarted.cluster.state = rule
    restarted.evaluate(Features(), frozenset({"pci.device"}))
    assert restarted.outputs == before


def test_taints_that_are_not_allowed_are_reported(tmp_path: Path) -> None:
    taint = {"key": "vendor.io/fpga", "effect": "NoSchedule"}
    for allowed, expected in ((False, 1), (True, 0)):
        folder = tmp_path / str(allowed)
        folder.mkdir()
        bench = Bench(folder, RuleSettings(taints=allowed))
        bench.cluster.state = nfr("a", fpga(taints=[taint]))
        with capture_logs() as lines:
            bench.evaluate()
            bench.evaluate()
        assert [line["event"] for line in lines] == ["output_refused"] * expected


def test_unchanged_input_is_not_evaluated_again() -> None:
    calls: list[object] = []

    def count(*inputs: object) -> Outcome:
        calls.append(inputs)
        return Outcome()

    evaluation = CachedEvaluation(count)
    for features in (FPGA, Features(instances=dict(FPGA.instances)), Features()):
        evaluation.run((), EvaluationContext(features=features))
    assert len(calls) == 2


def test_annotations_beyond_the_maximum_of_a_node_are_refused_and_reported(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    many = {f"n{number:03}": "x" * 1000 for number in range(200)}
    bench.cluster.state = nfr("a", fpga(labels={"fpga": "true"}, annotations=many))
    with capture_logs() as lines:
        assert bench.evaluate() == {f"{PREFIX}fpga": "true"}
    annotations = bench.outputs.annotations
    assert f"{PREFIX}n000" in annotations
    assert sum(len(key) + len(value) for key, value in annotations.items()) <= MAX_ANNOTATIONS
    assert [line["event"] for line in lines] == ["output_refused"] * (200 - len(annotations))


TAINT = {"key": "vendor.io/t", "effect": "NoSchedule"}
WHOLE: dict[str, Any] = {
    "labels": {"vendor.io/l": "1"},
    "annotations": {"vendor.io/a": "1"},
    "extendedResources": {"vendor.io/r": "1"},
    "taints": [TAINT],
}


def kinds(outputs: Outputs) -> tuple[list[str], ...]:
    names = [key for key, _ in outputs.taints]
    return list(outputs.labels), list(outputs.annotations), names, list(outputs.extended_resources)


def test_after_a_restart_a_failed_rule_retains_only_its_own_outputs(tmp_path: Path) -> None:
    other = fpga(labels={"vendor.io/other": "1"}, taints=[{"key": "vendor.io/other", "effect": "NoSchedule"}])
    bench = Bench(tmp_path)
    bench.cluster.state = nfr("a", fpga(**WHOLE)) | nfr("b", other)
    bench.evaluate()
    assert kinds(bench.outputs)[0] == ["vendor.io/l", "vendor.io/other"]
    restarted = bench.restarted(tmp_path / "again")
    bad = {
        "name": "bad",
        "matchFeatures": [{"feature": "cpu.model", "matchExpressions": {"id": {"op": "Gt", "value": ["1"]}}}],
    }
    restarted.cluster.state = nfr("a", bad | WHOLE)
    cpu = Features(attributes={"cpu.model": {"id": "not a number"}})
    restarted.evaluate(cpu)
    assert kinds(restarted.outputs) == (["vendor.io/l"], ["vendor.io/a"], ["vendor.io/t"], ["vendor.io/r"])
    assert restarted.services.readiness.problems()["nfd-lite/rules-known"] is None
    restarted.cluster.state = {}
    restarted.evaluate(cpu)
    assert restarted.outputs == Outputs()


def test_an_object_that_cannot_be_decoded_retains_the_outputs_that_it_names(tmp_path: Path) -> None:
    other = fpga(labels={"vendor.io/other": "1"}, extendedResources={"vendor.io/other": "1"})
    bench = Bench(tmp_path)
    bench.cluster.state = nfr("a", fpga(**WHOLE)) | nfr("b", other)
    bench.evaluate()
    restarted = bench.restarted(tmp_path / "again")
    restarted.cluster.state = too_many_patterns("a", fpga(**WHOLE))
    restarted.evaluate()
    assert kinds(restarted.outputs) == (["vendor.io/l"], ["vendor.io/a"], ["vendor.io/t"], ["vendor.io/r"])


def test_a_rule_that_depends_on_an_unknown_rule_retains_its_outputs(tmp_path: Path) -> None:
    term = {"feature": "rule.matched", "matchExpressions": {"vendor.io/l": {"op": "Exists"}}}
    after: dict[str, Any] = {"name": "after", "labels": {"vendor.io/after": "1"}, "matchFeatures": [term]}
    bench = Bench(tmp_path)
    bench.cluster.state = nfr("a", fpga(**WHOLE), after)
    assert bench.evaluate() == {"vendor.io/after": "1", "vendor.io/l": "1"}
    restarted = bench.restarted(tmp_path / "again")
    restarted.cluster.state = bench.cluster.state
    assert restarted.evaluate(Features(), frozenset({"pci.device"})) == {"vendor.io/after": "1", "vendor.io/l": "1"}


BROKEN: dict[str, dict[str, Any]] = {
    "pattern": fpga(labels={"vendor.io/l": "1"})
    | {
        "matchFeatures": [
            {"feature": "pci.device", "matchExpressions": {"vendor": {"op": "InRegexp", "value": ["rhel("]}}}
        ]
    },
    "template": fpga(labels={"vendor.io/l": "1"}, labelsTemplate='{{ index .Match.Features "pci.device" }}'),
    "template-syntax": fpga(labels={"vendor.io/l": "1"}, labelsTemplate="{{ range }}"),
    "unknown-key": fpga(labels={"vendor.io/l": "1"}, nonsense=1),
    "labels": fpga(labels=["vendor.io/l"]),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_beside_a_rule_that_is_broken_when_the_agent_starts_a_deleted_rule_leaves_nothing(
    tmp_path: Path, broken: dict[str, Any]
) -> None:
    sound = nfr("b", fpga(**WHOLE | {"labels": {"vendor.io/b": "1"}, "labelsTemplate": "vendor.io/t=1"}))
    bench = Bench(tmp_path)
    bench.published = {"vendor.io/l": "1", "vendor.io/b": "1", "vendor.io/t": "1"}
    bench.cluster.state = nfr("a", broken) | sound
    bench.evaluate()
    assert kinds(bench.outputs)[1:] == (["vendor.io/a"], ["vendor.io/t"], ["vendor.io/r"])
    assert {"vendor.io/b", "vendor.io/t"} <= bench.published.keys()
    bench.cluster.state = nfr("a", broken)
    bench.evaluate()
    assert kinds(bench.outputs) == (["vendor.io/l"] if broken["labels"] != ["vendor.io/l"] else [], [], [], [])
    assert bench.services.readiness.problems()["nfd-lite/rules-known"] is None


@pytest.mark.parametrize(
    "text", ["- {name: x, labels: {vendor.io/l: '1'}", "kind: Pod\nlabels: {vendor.io/l: 1}", "\0"]
)
def test_beside_a_broken_file_a_deleted_rule_leaves_nothing(tmp_path: Path, text: str) -> None:
    bench = Bench(tmp_path)
    (bench.drop_ins / "x").write_text(text)
    bench.published = {"vendor.io/l": "1", "vendor.io/b": "1"}
    bench.cluster.state = nfr("b", fpga(**WHOLE | {"labels": {"vendor.io/b": "1"}}))
    with capture_logs() as lines:
        bench.evaluate()
    bench.cluster.state = {}
    bench.evaluate()
    assert kinds(bench.outputs) == (["vendor.io/l"], [], [], [])
    assert (lines[0]["event"], lines[0]["rules"]) == ("rule_failed", f"/{CUSTOM_DIR}/x")
    assert bench.services.readiness.problems()["nfd-lite/rules-known"] is None


def test_a_rule_that_reads_other_entries_of_rule_matched_does_not_depend_on_a_broken_rule(tmp_path: Path) -> None:
    def after(entry: str) -> dict[str, Any]:
        term = {"feature": "rule.matched", "matchExpressions": {entry: {"op": "Exists"}}}
        return {"name": entry, "labels": {f"vendor.io/after-{entry}": "1"}, "matchFeatures": [term]}

    broken = BROKEN["pattern"] | {"vars": {"x": "1"}}
    bench = Bench(tmp_path)
    bench.published = {"vendor.io/after-x": "1", "vendor.io/after-y": "1"}
    bench.cluster.state = nfr("a", broken, after("x"), after("y"))
    assert bench.evaluate() == {"vendor.io/after-x": "1"}


def test_a_feature_that_no_source_provides_is_a_warning_and_not_a_problem(tmp_path: Path) -> None:
    def terms(name: str) -> dict[str, Any]:
        return {"name": name, "matchFeatures": [{"feature": name}]}

    bench = Bench(tmp_path)
    bench.cluster.state = nfr("a", terms("kernel.loadedmodules"), terms("vendor.thing"), terms("PCI.device"))
    with capture_logs() as lines:
        bench.evaluate()
        bench.evaluate()
    assert [(line["event"], line["rule"]) for line in lines] == [
        ("rule_warning", "kernel.loadedmodules"),
        ("rule_warning", "vendor.thing"),
    ]
    assert "(did you mean kernel.loadedmodule?)" in lines[0]["why"]
    assert b"rule_problems{" not in bench.services.metrics.render()


def test_with_merged_node_features_other_programs_may_provide_a_feature(tmp_path: Path) -> None:
    bench = Bench(tmp_path, merge=True)
    names = ("kernel.loadedmodules", "vendor.thing")
    bench.cluster.state = nfr("a", *({"name": name, "matchFeatures": [{"feature": name}]} for name in names))
    with capture_logs() as lines:
        bench.evaluate()
    assert [line["rule"] for line in lines] == ["kernel.loadedmodules"]


def test_a_wrong_pattern_about_an_absent_feature_is_a_warning_and_the_rule_does_not_match(tmp_path: Path) -> None:
    broken = BROKEN["pattern"] | {"labelsTemplate": "{{ range }}"}
    bench = Bench(tmp_path)
    bench.published = {"vendor.io/l": "1"}
    bench.cluster.state = nfr("a", broken)
    with capture_logs() as lines:
        assert bench.evaluate(Features()) == {}
    assert [line["event"] for line in lines] == ["rule_warning", "rule_warning"]
    with capture_logs() as lines:
        bench.evaluate()
    assert [line["event"] for line in lines] == ["rule_failed"]


def openshift(name: str, namespace: str | None, *rules: dict[str, Any]) -> dict[str, dict[str, Any]]:
    (obj,) = nfr(name, *rules).values()
    metadata = {**obj["metadata"], **({"namespace": namespace} if namespace else {})}
    return {f"{namespace}/{name}": {**obj, "apiVersion": "nfd.openshift.io/v1alpha1", "metadata": metadata}}


def test_rules_of_openshift_and_of_upstream_with_the_same_name_are_both_evaluated(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    upstream = Fixed(nfr("a", fpga(labels={"vendor.io/up": "1"}), BROKEN["labels"]))
    theirs = openshift("a", "openshift-nfd", fpga(labels={"vendor.io/os": "1"}), BROKEN["labels"])
    bench.rules._cluster = RuleInformers(upstream, Fixed(theirs | openshift("a", None, fpga(labels={"b.io/os": "1"}))))
    with capture_logs() as lines:
        assert bench.evaluate().keys() == {"vendor.io/up", "vendor.io/os", "b.io/os"}
    assert [line["rules"] for line in lines] == ["a", "a (openshift-nfd, nfd.openshift.io)"]


def test_nothing_is_removed_until_the_rules_of_openshift_are_listed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.published = {"vendor.io/os": "1"}
    bench.rules._cluster = RuleInformers(Fixed({}), theirs := Fixed(None))
    assert bench.evaluate() == {"vendor.io/os": "1"}
    assert "first list" in str(bench.services.readiness.problems()["nfd-lite/rules-known"])
    theirs.state = {}
    assert bench.evaluate() == {}
    assert bench.services.readiness.problems()["nfd-lite/rules-known"] is None


def test_labels_of_node_features_can_be_denied_without_their_features(tmp_path: Path) -> None:
    bench = Bench(tmp_path, RuleSettings(node_feature_labels=False), merge=True)
    flags: dict[str, Any] = {"vendor.thing": {"elements": {"X": {}}}}
    spec = {"labels": {"vendor.io/theirs": "1"}, "features": {"flags": flags}}
    bench.others.state = {"v/n1-x": {"metadata": {"name": "n1-x", "namespace": "v"}, "spec": spec}}
    bench.cluster.state = nfr(
        "a", {"name": "r", "labels": {"a.io/seen": "1"}, "matchFeatures": [{"feature": "vendor.thing"}]}
    )
    assert bench.evaluate(Features()) == {"a.io/seen": "1"}


def test_a_rule_with_too_many_annotations_displaces_no_annotation_of_another_rule(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    many = {f"a{number:03}": "x" * 1000 for number in range(200)}
    bench.cluster.state = nfr("a", fpga(annotations=many)) | nfr("b", fpga(annotations={"z": "x" * 1000}))
    with capture_logs() as lines:
        bench.evaluate()
    assert f"{PREFIX}z" in bench.outputs.annotations
    assert {line["rules"] for line in lines} == {"a"}
