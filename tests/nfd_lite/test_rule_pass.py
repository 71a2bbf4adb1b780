"""Rules in the agent's life: which of what they make goes out, and that trouble takes nothing away."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from nfd_lite.rule_pass import MAX_ANNOTATIONS, Rules, RuleSettings, Run
from nfd_lite.rules.custom import decode_custom_rules
from nfd_lite.rules.model import Outcome
from nfd_lite.rules.outputs import OutputPolicy
from node_core.domain.features import Features
from node_core.domain.labels import Labels, merge_collected
from node_core.domain.merge import Place
from node_core.domain.taints import Taint
from node_core.host.root import HostRoot
from node_core.runtime.rule_reporter import RuleReporter
from node_core.runtime.services import Services

FPGA = Features(instances={"pci.device": ({"class": "1200", "vendor": "10ee"},)})
PREFIX = "feature.node.kubernetes.io/"
CUSTOM_DIR = "etc/kubernetes/node-feature-discovery/custom.d"


class Fixed:
    """What a watch knows."""

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


class Bench:
    """Rules below a host's root, with the cluster's objects in hand."""

    def __init__(self, tmp_path: Path, settings: RuleSettings | None = None, *, merge: bool = False) -> None:
        self.drop_ins = tmp_path / CUSTOM_DIR
        self.drop_ins.mkdir(parents=True)
        self.cluster = Fixed({})
        self.others = Fixed({})
        self.services = Services()
        self.published: Labels = {}
        self.rules = Rules(
            settings or RuleSettings(),
            HostRoot(tmp_path),
            RuleReporter(None, agent="nfd-lite", node_name="n1", services=self.services),
            place=Place(node_name="n1", namespace="gpunode"),
            cluster=self.cluster,
            others=self.others if merge else None,
        )

    def look(self, features: Features = FPGA) -> Labels:
        """What is published after a look."""
        custom, others = self.rules.look(features)
        self.published = merge_collected((custom, *others), self.published)
        return self.published


def test_rules_give_labels_annotations_taints_and_resources(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    taint = {"key": "vendor.io/fpga", "value": "yes", "effect": "NoSchedule"}
    outputs = {"annotations": {"note": "has an FPGA"}, "extendedResources": {"vendor.io/fpga": "2"}, "taints": [taint]}
    bench.cluster.state = nfr("a", fpga(labels={"fpga": "true"}, **outputs))
    assert bench.look() == {f"{PREFIX}fpga": "true"}
    made = bench.rules.outputs
    assert made is not None
    assert made.annotations == {f"{PREFIX}note": "has an FPGA"}
    assert made.extended_resources == {"vendor.io/fpga": "2"}
    assert made.taints == (Taint(key="vendor.io/fpga", value="yes", effect="NoSchedule"),)
    assert not made.partial
    assert bench.look(Features(instances={"pci.device": ()})) == {}
    assert bench.rules.outputs is not None
    assert bench.rules.outputs.extended_resources == {}


def test_while_the_rules_are_not_known_nothing_is_taken_away(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.published = {f"{PREFIX}fpga": "true", "vendor.io/x": "1"}
    bench.cluster.state = None
    assert bench.look() == {f"{PREFIX}fpga": "true", "vendor.io/x": "1"}
    assert bench.rules.outputs is not None
    assert bench.rules.outputs.partial
    bench.cluster.state = nfr("a", fpga(labels={"fpga": "true"}))
    assert bench.look() == {f"{PREFIX}fpga": "true"}


def test_a_rule_that_breaks_keeps_what_it_made_and_the_others_go_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.cluster.state = nfr("a", fpga(labels={"fpga": "true"})) | nfr("b", fpga(labels={"b": "1"}))
    bench.look()
    broken = fpga(labels={"fpga": "false"}, labelsTemplate="{{ .nothing }")
    bench.cluster.state = nfr("a", broken, generation=2) | nfr("b", fpga(labels={"b": "2"}), generation=2)
    assert bench.look() == {f"{PREFIX}fpga": "true", f"{PREFIX}b": "2"}
    assert bench.rules.outputs is not None
    assert not bench.rules.outputs.partial, "all is known of what the broken rule had made"


def test_an_object_that_is_none_keeps_what_it_said_before_and_counts_as_unknown_after_a_restart(tmp_path: Path) -> None:
    odd = {"a": {**nfr("a", generation=2)["a"], "spec": {"rules": "none"}}}
    bench = Bench(tmp_path)
    bench.cluster.state = nfr("a", fpga(labels={"fpga": "true"}))
    bench.look()
    bench.cluster.state = odd
    assert bench.look() == {f"{PREFIX}fpga": "true"}
    (tmp_path / "again").mkdir()
    restarted = Bench(tmp_path / "again")
    restarted.published = {f"{PREFIX}fpga": "true"}
    restarted.cluster.state = odd
    assert restarted.look() == {f"{PREFIX}fpga": "true"}


def test_rules_of_the_config_file_and_drop_ins_come_with_the_built_in_ones(tmp_path: Path) -> None:
    configured = decode_custom_rules(
        [{"name": "c", "labels": {"c": "1"}, "matchFeatures": [{"feature": "pci.device"}]}]
    )
    bench = Bench(tmp_path, RuleSettings(configured=configured))
    (bench.drop_ins / "d.yaml").write_text(
        "- {name: d, labels: {vendor.io/d: '1'}, matchFeatures: [{feature: rule.matched, matchExpressions: {c: ['1']}}]}"
    )
    mellanox = Features(instances={"pci.device": ({"class": "0207", "vendor": "15b3"},)})
    assert bench.look(mellanox) == {f"{PREFIX}c": "1", f"{PREFIX}rdma.capable": "true", "vendor.io/d": "1"}
    (bench.drop_ins / "d.yaml").write_text("- {name: ")
    assert bench.look(mellanox)["vendor.io/d"] == "1"
    (bench.drop_ins / "d.yaml").unlink()
    assert "vendor.io/d" not in bench.look(mellanox)


def test_what_others_say_of_the_node_is_merged_only_when_asked_and_rules_see_it(tmp_path: Path) -> None:
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
        assert bench.look(Features()) == expected
    bench = Bench(tmp_path / "unknown", merge=True)
    bench.others.state = None
    bench.published = {"vendor.io/theirs": "1"}
    assert bench.look(Features()) == {"vendor.io/theirs": "1"}


def test_a_rule_that_never_worked_keeps_nothing_of_others_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.cluster.state = nfr("good", fpga(labels={"good": "1"}))
    bench.look()
    broken = nfr("broken", fpga(labelsTemplate="{{ bad"))
    bench.cluster.state = nfr("good", fpga(labels={"good": "1"})) | broken
    assert bench.look() == {f"{PREFIX}good": "1"}
    bench.cluster.state = broken
    assert bench.look() == {}
    assert bench.services.readiness.problems()["nfd-lite/rules-known"] is None


def test_after_a_restart_a_broken_rule_may_be_anybodys_and_that_is_said(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.published = {f"{PREFIX}whose": "1"}
    bench.cluster.state = nfr("broken", fpga(labelsTemplate="{{ bad"))
    assert bench.look() == {f"{PREFIX}whose": "1"}
    assert "stays on the Node" in str(bench.services.readiness.problems()["nfd-lite/rules-known"])


def test_a_feature_that_cannot_be_read_takes_nothing_away_also_after_a_restart(tmp_path: Path) -> None:
    rule = nfr("a", fpga(labels={"fpga": "true"}, extendedResources={"vendor.io/fpga": "2"}))
    bench = Bench(tmp_path)
    bench.cluster.state = rule
    bench.look()
    custom, others = bench.rules.look(Features(), frozenset({"pci.device"}))
    assert merge_collected((custom, *others), bench.published) == bench.published
    assert bench.rules.outputs is not None
    assert bench.rules.outputs.extended_resources == {"vendor.io/fpga": "2"}
    (tmp_path / "again").mkdir()
    restarted = Bench(tmp_path / "again")
    restarted.cluster.state = rule
    custom, others = restarted.rules.look(Features(), frozenset({"pci.device"}))
    assert merge_collected((custom, *others), bench.published) == bench.published
    assert restarted.rules.outputs is not None
    assert restarted.rules.outputs.partial


def test_taints_that_nobody_allowed_are_said_to_the_rules_author(tmp_path: Path) -> None:
    taint = {"key": "vendor.io/fpga", "effect": "NoSchedule"}
    for allowed, expected in ((False, 1), (True, 0)):
        folder = tmp_path / str(allowed)
        folder.mkdir()
        bench = Bench(folder, RuleSettings(taints=allowed))
        bench.cluster.state = nfr("a", fpga(taints=[taint]))
        with capture_logs() as lines:
            bench.look()
            bench.look()
        assert [line["event"] for line in lines] == ["output_refused"] * expected


def test_what_did_not_change_is_not_evaluated_again() -> None:
    calls: list[object] = []

    def count(*asked: object) -> Outcome:
        calls.append(asked)
        return Outcome()

    run, policy = Run(count), OutputPolicy()
    for features in (FPGA, Features(instances=dict(FPGA.instances)), Features()):
        run.on((), features, policy, frozenset())
    assert len(calls) == 2


def test_annotations_beyond_what_a_node_has_room_for_are_refused_and_said(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    many = {f"n{number:03}": "x" * 1000 for number in range(200)}
    bench.cluster.state = nfr("a", fpga(labels={"fpga": "true"}, annotations=many))
    with capture_logs() as lines:
        assert bench.look() == {f"{PREFIX}fpga": "true"}
    assert bench.rules.outputs is not None
    kept = bench.rules.outputs.annotations
    assert f"{PREFIX}n000" in kept
    assert sum(len(key) + len(value) for key, value in kept.items()) <= MAX_ANNOTATIONS
    assert [line["event"] for line in lines] == ["output_refused"] * (200 - len(kept))
