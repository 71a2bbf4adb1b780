"""Rules and labels of the cluster. The result is compared with what the agents write to a Node."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gfd.__main__ import parse as parse_gfd
from gpunode.labels.cluster import read_cluster
from gpunode.labels.rule_objects import read_rule_files
from nfd_lite.__main__ import parse as parse_nfd
from node_core.domain.node import parse_node
from node_core.errors import KubeError
from node_core.runtime.services import Services
from simulation.apiserver import ApiServer
from simulation.apiserver.resources import resource_named
from simulation.apiserver.writes import Target, Writer
from tests.gpunode.labels.answers import ask, whys
from tests.gpunode.labels.conftest import RULES, Show
from tests.nfd_lite.conftest import load_host

NODE = "n1"


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as running:
        running.add_node(NODE, labels={"topology.kubernetes.io/zone": "z1"})
        yield running


@pytest.fixture
def kubeconfig(server: ApiServer, tmp_path: Path) -> str:
    server.write_kubeconfig(tmp_path / "kubeconfig")
    return str(tmp_path / "kubeconfig")


def create_rules(server: ApiServer, text: str) -> None:
    resource = resource_named("nodefeaturerules.nfd.k8s-sigs.io")
    for obj in yaml.safe_load_all(text):
        server.api.create(Target(resource=resource), obj, Writer(manager="kubectl"))


ZONE = """
apiVersion: nfd.k8s-sigs.io/v1alpha1
kind: NodeFeatureRule
metadata: {name: zones}
spec:
  rules:
    - name: zone
      labels: {in-zone: "true"}
      matchFeatures:
        - feature: node.label
          matchExpressions: {topology.kubernetes.io/zone: {op: In, value: [z1]}}
"""


def test_the_labels_are_those_that_the_agents_write_to_the_node(
    server: ApiServer, kubeconfig: str, show: Show, tmp_path: Path
) -> None:
    create_rules(server, f"{RULES}---{ZONE}")
    root = load_host("icelake-sriov", tmp_path / "host").root.base
    common = ["--host-root", str(root), "--lock-dir", "", "--simulate", "h100x8", "--node-name", NODE]
    for parse in (parse_gfd, parse_nfd):
        program = parse([*common, "--kubeconfig", kubeconfig, "--oneshot"])
        assert program is not None
        assert program.once is not None
        assert program.once(Services())
    node = parse_node(server.store.get("nodes", NODE))
    written = {f"{agent} {key}": value for agent in ("nfd-lite", "gfd") for key, value in node.labels_by(agent).items()}
    flags = ("--kubeconfig", kubeconfig, "--node-name", NODE, "-o", "json")
    shown = json.loads(show(*flags, host=root, sources="all").stdout)["labels"]
    timestamp = "gfd nvidia.com/gfd.timestamp"
    labels = {f"{each['agent']} {each['key']}": each["value"] for each in shown}
    assert labels.pop(timestamp)
    assert written.pop(timestamp)
    assert labels == written
    assert "nfd-lite feature.node.kubernetes.io/in-zone" in labels
    assert "nfd-lite feature.node.kubernetes.io/premium" in labels


def test_only_read_requests_are_sent(server: ApiServer, kubeconfig: str, show: Show) -> None:
    create_rules(server, RULES)
    server.forget_requests()
    result = show("premium", "--kubeconfig", kubeconfig, "--node-name", NODE)
    assert "source  the rule premium / h100" in result.stdout
    assert server.writes == 0
    assert {verb for verb, _ in server.requests} == {"get", "list"}


def test_a_file_replaces_the_object_with_the_same_name(
    server: ApiServer, kubeconfig: str, show: Show, tmp_path: Path
) -> None:
    create_rules(server, ZONE)
    flags = ("--kubeconfig", kubeconfig, "--node-name", NODE)
    assert ask(show, "in-zone", *flags)["isPublished"]
    (tmp_path / "zones.yaml").write_text(ZONE.replace("[z1]", "[z2]"))
    answer = ask(show, "in-zone", *flags, "--rules", str(tmp_path / "zones.yaml"))
    assert whys(answer) == ["nfd-lite: the rule zones / zone does not match"]


def test_the_rules_of_the_cluster_can_be_left_out(server: ApiServer, kubeconfig: str, show: Show) -> None:
    create_rules(server, ZONE)
    flags = ("--kubeconfig", kubeconfig, "--node-name", NODE, "--node-feature-rules", "false")
    assert not ask(show, "in-zone", *flags)["isPublished"]


def test_an_object_that_cannot_be_decoded_is_a_note(server: ApiServer, kubeconfig: str, show: Show) -> None:
    patterns = ", ".join(["a"] * 501)
    term = f"{{feature: x.y, matchName: {{op: InRegexp, value: [{patterns}]}}}}"
    create_rules(server, ZONE.split("    - name", maxsplit=1)[0] + f"    - {{name: many, matchFeatures: [{term}]}}\n")
    result = show("--kubeconfig", kubeconfig)
    assert result.exit_code == 0
    assert "gpunode labels: zones: the document: has 501 patterns; the maximum is 500\n" in result.stderr


def test_labels_of_the_node_from_a_file(show: Show, tmp_path: Path) -> None:
    (tmp_path / "zones.yaml").write_text(ZONE)
    rules = ("--rules", str(tmp_path / "zones.yaml"))
    assert not ask(show, "in-zone", *rules)["isPublished"]
    (tmp_path / "labels").write_text("topology.kubernetes.io/zone=z1\n")
    assert ask(show, "in-zone", *rules, "--node-labels", str(tmp_path / "labels"))["isPublished"]


def test_a_missing_right_is_named(server: ApiServer, kubeconfig: str, show: Show) -> None:
    server.fail_next(1, 403)
    result = show("--kubeconfig", kubeconfig)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "not permitted to list nodefeaturerules.nfd.k8s-sigs.io" in result.stderr
    assert "gpunode-viewer" in result.stderr


def test_openshift_is_optional(server: ApiServer, kubeconfig: str) -> None:
    create_rules(server, ZONE)
    assert list(read_cluster("", kubeconfig, None, with_rules=True).rules) == ["zones"]


def test_a_node_that_does_not_exist_is_an_error(kubeconfig: str, show: Show, server: ApiServer) -> None:
    result = show("--kubeconfig", kubeconfig, "--node-name", "n2")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "gpunode labels: the Node n2 does not exist (correct --node-name)\n"
    assert server.writes == 0


def test_without_a_named_cluster_none_is_read(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text("not a kubeconfig")
    state = read_cluster(NODE, None, None, with_rules=True, environment={"HOME": str(tmp_path)})
    assert (state.rules, state.note, state.node.name) == ({}, None, NODE)


def test_a_cluster_of_the_environment_that_cannot_be_read_is_a_note(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("not a kubeconfig")
    environment = {"KUBECONFIG": str(tmp_path / "config")}
    state = read_cluster("", None, None, with_rules=True, environment=environment)
    assert state.note is not None
    assert state.note.startswith("the NodeFeatureRules of the cluster are not included: ")
    with pytest.raises(KubeError):
        read_cluster("", str(tmp_path / "config"), None, with_rules=True, environment={})


def test_of_objects_with_the_same_name_the_last_counts(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(ZONE)
    (tmp_path / "two.yaml").write_text(f"kind: List\napiVersion: v1\nitems:\n- {json.dumps(yaml.safe_load(ZONE))}\n")
    (tmp_path / "three.yaml").write_text("- {name: custom, labels: {x: red}}\n")
    read = read_rule_files([str(tmp_path / f"{name}.yaml") for name in ("one", "two", "three")])
    assert list(read.objects) == ["zones"]
    assert [each.name for each in read.custom] == [str(tmp_path / "three.yaml")]
