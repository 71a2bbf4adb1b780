"""NodeFeatureRules that are applied with kubectl, and their effects on the Node."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

KUBECTL = Path(sys.executable).parent / "kubectl"
PREFIX = "feature.node.kubernetes.io/"
RULE = """
apiVersion: nfd.k8s-sigs.io/v1alpha1
kind: NodeFeatureRule
metadata: {name: big-gpus}
spec:
  rules:
    - name: an NVIDIA GPU
      labels: {gpus: "true", vendor.io/kernel: "@kernel.version.major"}
      labelsTemplate: |
        {{ range .pci.device }}vendor.io/class-{{ .class }}={{ .vendor }}
        {{ end }}
      annotations: {note: simulated}
      extendedResources: {vendor.io/fpga: "2"}
      taints: [{key: vendor.io/gpus, value: "yes", effect: NoSchedule}]
      matchFeatures:
        - feature: pci.device
          matchExpressions: {vendor: {op: In, value: ["10de"]}}
"""
BROKEN = RULE.replace("{{ end }}", "{{ end").replace('gpus: "true"', 'gpus: "false"')


class Rules:
    """The simulated cluster with nfd-lite, and the real kubectl."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        command = [str(KUBECTL), f"--kubeconfig={self.cluster.directory / 'kubeconfig'}", *arguments]
        environment = {"HOME": str(self.cluster.directory), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def apply(self, rule: str) -> None:
        self.kubectl("apply", "-f", "-", stdin=rule)

    @property
    def annotations(self) -> dict[str, str]:
        found: dict[str, str] = self.cluster.node["metadata"].get("annotations") or {}
        return found

    @property
    def taints(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = self.cluster.node.get("spec", {}).get("taints") or []
        return found

    def is_published(self) -> bool:
        """Whether the Node has all outputs of the rule."""
        return (
            self.cluster.labels.get(f"{PREFIX}gpus") == "true"
            and self.cluster.labels.get("vendor.io/class-0302") == "10de"
            and self.cluster.labels.get("vendor.io/kernel", "").isdecimal()
            and self.annotations.get(f"{PREFIX}note") == "simulated"
            and self.cluster.node["status"]["capacity"].get("vendor.io/fpga") == "2"
            and [taint["key"] for taint in self.taints] == ["vendor.io/gpus"]
        )


@pytest.fixture
def rules(cluster: Any) -> Rules:
    found = Rules(cluster)
    cluster.start("nfd_lite", "--simulate", "h100x8", "--enable-taints")
    cluster.until(lambda: "nvidia.com/gpu.present" in cluster.labels)
    return found


def test_the_node_follows_a_rule_that_is_created_changed_and_deleted(rules: Rules) -> None:
    rules.apply(RULE)
    rules.cluster.until(rules.is_published)
    rules.apply(RULE.replace("simulated", "changed"))
    rules.cluster.until(lambda: rules.annotations.get(f"{PREFIX}note") == "changed")
    rules.kubectl("delete", "nodefeaturerule", "big-gpus")
    rules.cluster.until(lambda: f"{PREFIX}gpus" not in rules.cluster.labels)
    rules.cluster.until(lambda: not rules.taints and f"{PREFIX}note" not in rules.annotations)
    rules.cluster.until(lambda: "vendor.io/fpga" not in rules.cluster.node["status"]["capacity"])
    assert "nvidia.com/gpu.present" in rules.cluster.labels


@pytest.mark.exhaustive
def test_an_invalid_change_of_a_rule_creates_an_event_and_removes_nothing(rules: Rules) -> None:
    rules.apply(RULE)
    rules.cluster.until(rules.is_published)
    rules.apply(BROKEN)

    def events() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(rules.kubectl("get", "events", "-o", "json"))["items"]
        return [event for event in found if event["involvedObject"]["kind"] == "NodeFeatureRule"]

    rules.cluster.until(events)
    (event,) = events()
    assert (event["type"], event["reason"]) == ("Warning", "RuleFailed")
    assert "labelsTemplate" in event["message"]
    assert rules.is_published()


@pytest.mark.exhaustive
def test_a_restart_with_unchanged_rules_writes_nothing(rules: Rules) -> None:
    rules.apply(RULE)
    rules.cluster.until(rules.is_published)
    rules.cluster.processes[0].kill()
    rules.cluster.processes[0].wait()
    rules.cluster.server.forget_requests()
    rules.cluster.start("nfd_lite", "--simulate", "h100x8", "--enable-taints")
    rules.cluster.until(lambda: '"event": "ready"' in rules.cluster.log(1))
    listed = ("list", "/apis/nfd.k8s-sigs.io/v1alpha1/nodefeaturerules")
    rules.cluster.until(lambda: listed in rules.cluster.server.requests)
    assert rules.is_published()
    assert rules.cluster.server.writes == 0


@pytest.mark.exhaustive
def test_without_enable_taints_the_taints_of_rules_are_removed(rules: Rules) -> None:
    rules.apply(RULE)
    rules.cluster.until(rules.is_published)
    rules.cluster.processes[0].kill()
    rules.cluster.processes[0].wait()
    rules.cluster.start("nfd_lite", "--simulate", "h100x8")
    rules.cluster.until(lambda: not rules.taints)
    assert rules.cluster.labels[f"{PREFIX}gpus"] == "true"
