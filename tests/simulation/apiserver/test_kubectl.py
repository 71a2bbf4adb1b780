"""The simulated API server with kubectl, in the version of the development lock file."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nfd_lite.rule_reporter import RuleReporter
from nfd_lite.rules.model import RuleProblem
from node_core.kube.client import NodeApi
from node_core.kube.events import EventApi
from node_core.runtime.event_recorder import EventRecorder
from node_core.runtime.services import Services
from simulation.apiserver import ApiServer

KUBECTL = str(Path(sys.executable).parent / "kubectl")

POD = """
apiVersion: v1
kind: Pod
metadata: {name: train, labels: {app: one}}
spec:
  containers:
  - {name: c, image: busybox, resources: {limits: {nvidia.com/gpu: "1"}}}
"""


class Kubectl:
    """kubectl(...) returns the standard output. The test fails if the exit status is not 0."""

    def __init__(self, server: ApiServer, home: Path) -> None:
        server.write_kubeconfig(home / "config")
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(home / "config")}

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [KUBECTL, *arguments]
        return subprocess.run(
            command, input=stdin, env=self.env, capture_output=True, text=True, timeout=30, check=False
        )

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout.rstrip()


@pytest.fixture
def kubectl(server: ApiServer, tmp_path: Path) -> Kubectl:
    return Kubectl(server, tmp_path)


def test_each_write_of_kubectl_has_its_field_manager(server: ApiServer, kubectl: Kubectl) -> None:
    start = server.store.version
    kubectl("label", "node", "n1", "team=a")
    kubectl("label", "node", "n1", "team-")
    kubectl("create", "-f", "-", stdin=POD)
    kubectl("delete", "pod", "train")
    events, _ = server.store.events(["nodes", "pods"], start, timeout=0)
    managers = [event.manager for event in events]
    assert managers == ["kubectl-label", "kubectl-label", "kubectl-create", "kubectl"]


def test_get_prints_nodes(kubectl: Kubectl) -> None:
    header, row = kubectl("get", "nodes").splitlines()
    assert header.split() == ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]
    assert row.split()[:3] == ["n1", "Ready", "<none>"]
    wide = kubectl("get", "nodes", "-o", "wide").splitlines()[0]
    assert "CONTAINER-RUNTIME" in wide
    assert "kubernetes.io/hostname=n1" in kubectl("get", "no", "--show-labels")
    assert kubectl("get", "nodes", "-l", "gpu=no", "-o", "name") == ""
    assert kubectl("get", "nodes", "-l", "gpu in (yes)", "-o", "name") == "node/n1"
    assert kubectl("get", "node", "n1", "-o", "jsonpath={.metadata.labels.gpu}") == "yes"
    assert "kind: Node" in kubectl("get", "node", "n1", "-o", "yaml")


def test_a_node_is_labelled_annotated_tainted_and_cordoned(kubectl: Kubectl) -> None:
    assert kubectl("label", "node", "n1", "a=b") == "node/n1 labeled"
    assert kubectl("annotate", "node", "n1", "c=d") == "node/n1 annotated"
    assert kubectl("taint", "node", "n1", "nvidia.com/gpu=present:NoSchedule") == "node/n1 tainted"
    assert kubectl("cordon", "n1") == "node/n1 cordoned"
    assert "Ready,SchedulingDisabled" in kubectl("get", "nodes")
    described = kubectl("describe", "node", "n1")
    assert "nvidia.com/gpu=present:NoSchedule" in described
    assert "Unschedulable:      true" in described
    kubectl("taint", "node", "n1", "nvidia.com/gpu-")
    kubectl("uncordon", "n1")
    kubectl("label", "node", "n1", "a-")
    assert kubectl("get", "node", "n1", "-o", "jsonpath={.spec.taints}{.spec.unschedulable}{.metadata.labels.a}") == ""


def test_an_invalid_label_is_refused_with_the_reason(kubectl: Kubectl) -> None:
    refused = kubectl.run("label", "node", "n1", "a=b c")
    assert refused.returncode == 1
    assert "must begin and end with a letter or digit" in refused.stderr or "alphanumeric" in refused.stderr


def test_a_pod_is_applied_changed_described_and_deleted(kubectl: Kubectl) -> None:
    assert kubectl("apply", "-f", "-", stdin=POD) == "pod/train created"
    assert kubectl("apply", "-f", "-", stdin=POD) == "pod/train unchanged"
    assert kubectl("apply", "-f", "-", stdin=POD.replace("one", "two")) == "pod/train configured"
    assert kubectl("get", "pods", "-A").splitlines()[1].split()[:4] == ["default", "train", "0/1", "Pending"]
    assert "nvidia.com/gpu:  1" in kubectl("describe", "pod", "train")
    assert kubectl("delete", "pods", "--all").startswith('pod "train" deleted')
    assert kubectl.run("get", "pod", "train").stderr.strip() == 'Error from server (NotFound): pods "train" not found'


def test_server_side_apply_reports_conflicts_and_forces(kubectl: Kubectl) -> None:
    config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: '1'}\n"
    kubectl("apply", "--server-side", "-f", "-", stdin=config)
    other = ("apply", "--server-side", "--field-manager=other", "-f", "-")
    refused = kubectl.run(*other, stdin=config.replace("1'", "2'"))
    assert 'Apply failed with 1 conflict: conflict with "kubectl": .data.a' in refused.stderr
    kubectl(*other, "--force-conflicts", stdin=config.replace("1'", "2'"))
    assert kubectl("get", "cm", "c", "-o", "jsonpath={.data.a}") == "2"


def test_creating_an_existing_object_is_an_error(kubectl: Kubectl) -> None:
    assert kubectl("create", "-f", "-", stdin=POD) == "pod/train created"
    assert "(AlreadyExists)" in kubectl.run("create", "-f", "-", stdin=POD).stderr


def test_the_version_the_resources_and_the_health_are_served(kubectl: Kubectl) -> None:
    assert "Server Version: v1.34.0+gpunode-simulated" in kubectl("version")
    assert {"nodes", "pods", "leases"} <= {line.split()[0] for line in kubectl("api-resources").splitlines()}
    assert [kubectl("get", "--raw", path) for path in ("/healthz", "/readyz")] == ["ok", "ok"]
    assert "gitVersion" in kubectl("get", "--raw", "/version")
    assert kubectl("get", "events") == ""


def test_a_watch_prints_each_change(kubectl: Kubectl) -> None:
    command = [KUBECTL, "get", "node", "-w"]
    process = subprocess.Popen(command, env=kubectl.env, stdout=subprocess.PIPE, text=True)
    guard = threading.Timer(20, process.kill)
    guard.start()
    assert process.stdout is not None
    try:
        assert process.stdout.readline().startswith("NAME")
        assert "Ready " in process.stdout.readline()
        kubectl("cordon", "n1")
        assert "SchedulingDisabled" in process.stdout.readline()
    finally:
        process.kill()
        guard.cancel()
        process.stdout.close()
        process.wait()
        guard.join()


RULES = """
apiVersion: nfd.k8s-sigs.io/v1alpha1
kind: NodeFeatureRule
metadata: {name: my-rules}
spec:
  rules:
  - {name: one, labels: {a: "1"}}
"""


def test_rules_are_applied_listed_changed_described_with_their_events_and_deleted(
    kubectl: Kubectl, tmp_path: Path
) -> None:
    shown = "nodefeaturerule.nfd.k8s-sigs.io/my-rules"
    assert kubectl("apply", "-f", "-", stdin=RULES) == f"{shown} created"
    assert kubectl("apply", "-f", "-", stdin=RULES) == f"{shown} unchanged"
    header, row = kubectl("get", "nfr").splitlines()
    assert (header.split(), row.split()[0]) == (["NAME", "AGE"], "my-rules")
    assert kubectl("apply", "-f", "-", stdin=RULES.replace('"1"', '"2"')) == f"{shown} configured"
    assert kubectl("get", "nfr", "my-rules", "-o", "jsonpath={.metadata.generation}") == "2"
    problem = RuleProblem(set_name="my-rules", rule="one", why="'x' is no number")
    events = EventApi(NodeApi("n1", kubeconfig=str(tmp_path / "config"), user_agent="t"))
    rules = {"my-rules": json.loads(kubectl("get", "nfr", "my-rules", "-o", "json"))}
    recorder = EventRecorder(lambda: events, Services())
    RuleReporter(recorder, agent="nfd-lite", node_name="n1", services=Services()).report([problem], rules)
    assert recorder.step()
    described = kubectl("describe", "nfr", "my-rules")
    for words in ("Warning", "RuleFailed", "nfd-lite", "'x' is no number"):
        assert words in described
    assert "nodefeaturerule/my-rules" in kubectl("get", "events")
    assert kubectl("delete", "nfr", "my-rules").startswith('nodefeaturerule.nfd.k8s-sigs.io "my-rules" deleted')
    assert kubectl("get", "nfr") == ""


def test_an_extended_resource_is_applied_to_the_status_and_shown(kubectl: Kubectl) -> None:
    body = "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nstatus: {capacity: {example.com/fpga: '4'}}\n"
    apply = ("apply", "--server-side", "--subresource=status", "--field-manager=nfd-lite", "-f", "-")
    kubectl(*apply, stdin=body)
    assert "example.com/fpga:  4" in kubectl("describe", "node", "n1")
    node = json.loads(kubectl("get", "node", "n1", "-o", "json", "--show-managed-fields"))
    (entry,) = (each for each in node["metadata"]["managedFields"] if each["manager"] == "nfd-lite")
    assert (entry["operation"], entry["subresource"]) == ("Apply", "status")
    assert entry["fieldsV1"] == {"f:status": {"f:capacity": {"f:example.com/fpga": {}}}}


def test_a_list_in_chunks_is_complete(kubectl: Kubectl, server: ApiServer) -> None:
    for number in range(7):
        kubectl("apply", "-f", "-", stdin=f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{number}}}\n")
    server.forget_requests()
    assert len(kubectl("get", "cm", "--chunk-size=3", "-o", "name").splitlines()) == 7
    assert server.requests["list", "/api/v1/namespaces/{namespace}/configmaps"] == 3
    assert len(kubectl("get", "cm", "--chunk-size=3", "--no-headers").splitlines()) == 7


def test_node_features_are_selected_by_the_label_of_their_node(kubectl: Kubectl) -> None:
    for name in ("n1", "n2"):
        label = f"{{nfd.node.kubernetes.io/node-name: {name}}}"
        body = f"apiVersion: nfd.k8s-sigs.io/v1alpha1\nkind: NodeFeature\nmetadata: {{name: {name}, labels: {label}}}\nspec: {{}}\n"
        kubectl("apply", "-f", "-", stdin=body)
    found = kubectl("get", "nodefeatures", "-A", "-l", "nfd.node.kubernetes.io/node-name=n1", "-o", "name")
    assert found == "nodefeature.nfd.k8s-sigs.io/n1"
