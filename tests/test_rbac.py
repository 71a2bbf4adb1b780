"""Each agent's account has exactly the permissions that the agent needs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent / "manifests" / "base"
READ = {"get", "list", "watch"}

Grant = tuple[str, str]
"""An API group and a resource."""

LABELLER = {("", "nodes"): READ | {"patch"}}
OBJECT = {("nfd.k8s-sigs.io", "nodefeatures"): READ | {"create", "patch"}}
CONFIGS = {("", "configmaps"): {"list", "watch"}}
HEALTH = {
    ("", "nodes"): READ | {"patch"},
    ("", "nodes/status"): {"patch"},
    ("", "events"): {"create"},
    ("", "pods"): {"get"},
}
RULES = {
    ("nfd.k8s-sigs.io", "nodefeaturerules"): {"list", "watch"},
    ("nfd.k8s-sigs.io", "nodefeatures"): {"list", "watch"},
    ("nfd.openshift.io", "nodefeaturerules"): {"list", "watch"},
    ("", "nodes/status"): {"patch"},
    ("", "events"): {"create"},
}
TOPOLOGY = {
    ("", "nodes"): READ,
    ("topology.node.k8s.io", "noderesourcetopologies"): READ | {"create", "patch"},
    ("", "nodes/configz"): {"get"},
}
"""nodes/configz: checked by the kubelet."""
VIEWER = {
    ("", "nodes"): READ,
    ("", "pods"): READ,
    ("", "events"): {"list"},
    **{("apps", kind): {"get", "list"} for kind in ("daemonsets", "deployments", "replicasets", "statefulsets")},
    **{("batch", kind): {"get", "list"} for kind in ("cronjobs", "jobs")},
    ("nfd.k8s-sigs.io", "nodefeaturerules"): {"list"},
    ("nfd.openshift.io", "nodefeaturerules"): {"list"},
    ("resource.k8s.io", "resourceslices"): {"list", "watch"},
    ("resource.k8s.io", "resourceclaims"): {"list", "watch"},
    ("resource.k8s.io", "deviceclasses"): {"list"},
}


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    objects = yaml.safe_load_all((ROOT / "rbac.yaml").read_text())
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def granted(account: str, scope: str) -> dict[Grant, set[str]]:
    """Returns the permissions of an account. scope: `Cluster`, or "" for the agents' namespace."""
    found: dict[Grant, set[str]] = {}
    for binding in of_kind(f"{scope}RoleBinding").values():
        if account in {subject["name"] for subject in binding["subjects"]}:
            for grant, verbs in grants_of(binding["roleRef"]["kind"], binding["roleRef"]["name"]).items():
                found.setdefault(grant, set()).update(verbs)
    return found


def grants_of(kind: str, role: str) -> dict[Grant, set[str]]:
    """Returns the permissions of a role. kind: ClusterRole or Role."""
    found: dict[Grant, set[str]] = {}
    for rule in of_kind(kind)[role]["rules"]:
        for resource in rule["resources"]:
            (group,) = rule["apiGroups"]
            found.setdefault((group, resource), set()).update(rule["verbs"])
    return found


@pytest.mark.parametrize(
    ("account", "in_cluster", "in_namespace"),
    [
        ("nfd-lite", LABELLER | RULES, OBJECT),
        ("gfd", LABELLER, OBJECT | CONFIGS),
        ("gpu-device-plugin", HEALTH, CONFIGS),
    ],
)
def test_an_account_has_exactly_the_permissions_of_its_agent(
    account: str, in_cluster: dict[Grant, set[str]], in_namespace: dict[Grant, set[str]]
) -> None:
    assert granted(account, "Cluster") == in_cluster
    assert granted(account, "") == in_namespace


def test_the_topology_agent_has_exactly_its_permissions() -> None:
    """Its overlay contains its account, its role and its policy."""
    overlay = ROOT.parent / "overlays" / "topology" / "nfd-lite-topology.yaml"
    objects = {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(overlay.read_text())}
    rules = objects["ClusterRole", "gpunode-topology"]["rules"]
    assert {(rule["apiGroups"][0], rule["resources"][0]): set(rule["verbs"]) for rule in rules} == TOPOLOGY
    (subject,) = objects["ClusterRoleBinding", "gpunode-topology"]["subjects"]
    account = ("ServiceAccount", subject["name"])
    assert objects[account]["metadata"]["namespace"] == subject["namespace"]
    policy = objects["ValidatingAdmissionPolicy", "gpunode-topology"]["spec"]
    (condition,) = policy["matchConditions"]
    assert f"'system:serviceaccount:{subject['namespace']}:{subject['name']}'" in condition["expression"]
    (rule,) = policy["matchConstraints"]["resourceRules"]
    assert (rule["apiGroups"], rule["resources"]) == (["topology.node.k8s.io"], ["noderesourcetopologies"])
    assert objects["ValidatingAdmissionPolicyBinding", "gpunode-topology"]["spec"]["validationActions"] == ["Deny"]


def test_the_role_for_people_only_reads_and_no_agent_has_it() -> None:
    assert grants_of("ClusterRole", "gpunode-viewer") == VIEWER
    assert set().union(*VIEWER.values()) == READ
    assert "gpunode-viewer" not in {each["roleRef"]["name"] for each in of_kind("ClusterRoleBinding").values()}


def test_every_binding_references_existing_roles_and_accounts() -> None:
    accounts = of_kind("ServiceAccount")
    for scope in ("", "Cluster"):
        for binding in of_kind(f"{scope}RoleBinding").values():
            assert binding["roleRef"]["name"] in of_kind(f"{scope}Role")
            assert {(subject["namespace"], subject["name"]) for subject in binding["subjects"]} <= {
                ("gpunode", name) for name in accounts
            }
