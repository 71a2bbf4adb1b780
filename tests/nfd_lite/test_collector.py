"""The collector: selected labels, and a host that is not mounted."""

import re
from pathlib import Path
from typing import Any

import pytest

from nfd_lite.collector import Collector, missing_mount_problem, select_labels
from nfd_lite.config import Restrictions
from nfd_lite.cpu.cpuid_decode import CpuInfo
from nfd_lite.merge import NodeContext
from nfd_lite.rule_pass import Rules, RuleSettings
from nfd_lite.rule_reporter import RuleReporter
from nfd_lite.rules.custom import decode_custom_rules
from nfd_lite.settings import NfdSettings
from nfd_lite.sources import Host
from node_core.domain.desired import CollectorResult, Outputs, complete, merge_labels
from node_core.host.root import HostRoot
from node_core.runtime.services import Services

RULE_FILE = Path("etc/kubernetes/node-feature-discovery/custom.d/x")
FEATURE_FILE = Path("etc/kubernetes/node-feature-discovery/features.d/x")
KERNEL = CollectorResult(
    name="kernel.version", labels={"f/kernel-version.full": "6.1", "f/kernel-version.major": "6"}, owns=("f/kernel-",)
)
PCI = CollectorResult(name="pci.device", labels=None, owns=("f/pci-",))
PRESENT = CollectorResult(
    name="gpu.present", labels={"nvidia.com/gpu.present": "true"}, owns=("nvidia.com/gpu.present",)
)


def test_only_selected_sources_and_gpu_present_are_published() -> None:
    assert select_labels([KERNEL, PCI, PRESENT], frozenset({"kernel"}), None) == [KERNEL, PRESENT]
    assert select_labels([KERNEL, PCI, PRESENT], frozenset(), None) == [PRESENT]


def test_the_white_list_matches_names_and_does_not_affect_failed_sources() -> None:
    selected = select_labels([KERNEL, PCI, PRESENT], frozenset({"kernel", "pci"}), re.compile("full$"))
    assert [each.labels for each in selected] == [{"f/kernel-version.full": "6.1"}, None, PRESENT.labels]


def test_labels_are_kept_while_the_host_is_not_mounted(tmp_path: Path) -> None:
    (tmp_path / "sys" / "bus").mkdir(parents=True)
    root, services = HostRoot(tmp_path), Services()
    reporter = RuleReporter(None, agent="nfd-lite", node_name="n1", services=services)
    host = Host(root=root, cpu=lambda _: CpuInfo(arch="x86_64", method="nothing"))
    rules = Rules(RuleSettings(), root, reporter, context=NodeContext(node_name="n1", namespace=""))
    collect = Collector(host, NfdSettings(label_sources=frozenset()), rules, services.readiness)
    known = {"feature.node.kubernetes.io/kernel-version.full": "6.1", "vendor.io/by-a-rule": "1"}
    assert merge_labels(collect(None).results, known) == known
    assert "does not contain the host's /proc" in (services.readiness.problems()["nfd-lite/host"] or "")
    assert missing_mount_problem([], tmp_path) is None


@pytest.mark.parametrize(
    ("restrictions", "removed"),
    [
        (Restrictions(), set()),
        (Restrictions(disable_labels=True), {"labels"}),
        (Restrictions(disable_annotations=True, allow_overwrite=False), {"annotations"}),
        (Restrictions(disable_extended_resources=True), {"extended_resources"}),
    ],
)
def test_restricted_kinds_of_outputs_are_not_published(
    tmp_path: Path, restrictions: Restrictions, removed: set[str]
) -> None:
    for folder in ("proc", "sys"):
        (tmp_path / folder / "x").mkdir(parents=True)
    outputs: dict[str, Any] = {
        "labels": {"a.io/l": "1"},
        "annotations": {"a.io/a": "1"},
        "extendedResources": {"a.io/r": "1"},
    }
    root, services = HostRoot(tmp_path), Services()
    reporter = RuleReporter(None, agent="nfd-lite", node_name="n1", services=services)
    host = Host(root=root, cpu=lambda _: CpuInfo(arch="x86_64", method="nothing"))
    configured = decode_custom_rules([{"name": "r", **outputs}])
    rules = Rules(
        RuleSettings(configured=(configured,)), root, reporter, context=NodeContext(node_name="", namespace="")
    )
    collect = Collector(host, NfdSettings(restrictions=restrictions), rules, services.readiness)
    published = complete(collect(None), Outputs())
    for kind, key in (("labels", "a.io/l"), ("annotations", "a.io/a"), ("extended_resources", "a.io/r")):
        assert (key in getattr(published, kind)) is (kind not in removed)


def test_beside_a_failing_template_the_labels_of_a_deleted_rule_file_and_feature_file_are_removed(
    tmp_path: Path,
) -> None:
    for folder in ("proc/x", "sys/x", RULE_FILE.parent, FEATURE_FILE.parent):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / RULE_FILE).write_text("- {name: x, labels: {a.io/rule: '1'}}")
    (tmp_path / FEATURE_FILE).write_text("a.io/file=1\n")
    root, services = HostRoot(tmp_path), Services()
    reporter = RuleReporter(None, agent="nfd-lite", node_name="n1", services=services)
    host = Host(root=root, cpu=lambda _: CpuInfo(arch="x86_64", method="nothing"))
    configured = decode_custom_rules([{"name": "broken", "labelsTemplate": "{{ .nothing }}"}])
    rules = Rules(
        RuleSettings(configured=(configured,)), root, reporter, context=NodeContext(node_name="", namespace="")
    )
    collect = Collector(host, NfdSettings(), rules, services.readiness)
    published = merge_labels(collect(None).results, {"a.io/unknown": "1"})
    assert {"a.io/rule", "a.io/file", "a.io/unknown"} <= published.keys()
    for file in (RULE_FILE, FEATURE_FILE):
        (tmp_path / file).unlink()
    published = merge_labels(collect(None).results, published)
    assert {key for key in published if key.startswith("a.io/")} == {"a.io/unknown"}
