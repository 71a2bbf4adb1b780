"""The admission policies allow exactly what the agents write. These tests compare the conditions of the policies with the code.

tests/e2e/test_policy.py tests the policies on a real API server.
"""

import functools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from device_plugin.health.startup_taint import STARTUP_TAINT_ANNOTATION
from driver_manager.cordon import CORDON
from gfd.labelers import DECLARED
from gpu_core.clients.pause import DEPLOY, Pause
from gpu_operator.upgrade.keys import ANNOTATIONS, STATE
from gpu_operator.view import OWNER
from nfd_lite.agent import NAME as NFD
from nfd_lite.rules.outputs import OutputPolicy, normalize_resource, taint_problem, validate_annotation, validate_label
from node_core.domain.conditions import GPU_READY, GPU_VALIDATED, MIG_CONFIGURED
from node_core.domain.labels import DEVICE_PLUGIN_CONFIG, GPU_PRESENT, MIG_CONFIG, MIG_CONFIG_STATE
from node_core.domain.node_feature import GFD_PREFIX, NODE_NAME_LABEL
from node_core.domain.reconcile import YIELDS_TO
from node_core.domain.taints import GFD_TAINTS_ANNOTATION, RULE_TAINTS_ANNOTATION, Taint
from tests.cel import exemptions

ROOT = Path(__file__).parent.parent
BASE = ROOT / "manifests" / "base"
OVERLAYS = ROOT / "manifests" / "overlays"
GOLDEN = ROOT / "tests" / "golden"
AGENTS = {
    "nfd-lite": "nfd",
    "gfd": "gfd",
    "gpu-device-plugin": "plugin",
    "mig-manager": "mig",
    "gpu-validator": "validator",
}
"""The variable of the policy for each account."""
WITHOUT_NODES = {"gpu-toolkit"}
"""The accounts that create Events, and do not change Nodes."""
STARTUP = "nvidia.com/gpu-not-ready"


@functools.cache
def policies() -> dict[str, dict[str, Any]]:
    objects = yaml.safe_load_all((BASE / "admission.yaml").read_text())
    return {each["metadata"]["name"]: each["spec"] for each in objects if each["kind"] == "ValidatingAdmissionPolicy"}


def variable(name: str, policy: str = "gpunode-nodes") -> str:
    found: str = next(each["expression"] for each in policies()[policy]["variables"] if each["name"] == name)
    return found


def may(agent: str, name: str, text: str) -> bool:
    """Whether the policy allows the agent to write this key."""
    account = {each: each == AGENTS[agent] for each in AGENTS.values()}
    return any(own(account, text) for own in exemptions(variable(name)))


def golden_keys(agent: str) -> set[str]:
    files = [file for file in (GOLDEN / agent).glob("*.txt") if ".features" not in file.name]
    return {
        line.partition("=")[0] for file in files for line in file.read_text().splitlines() if re.match(r"\S+=", line)
    }


@pytest.mark.parametrize("key", sorted({GPU_PRESENT} | golden_keys("nfd_lite")))
def test_nfd_lite_may_write_its_labels(key: str) -> None:
    assert may("nfd-lite", "wrongLabels", key)
    assert not may("gpu-device-plugin", "wrongLabels", key)
    assert not may("gfd", "wrongLabels", key)


@pytest.mark.parametrize("key", [re.sub("<[^>]*>", "x", each.key) for each in DECLARED] + sorted(golden_keys("gfd")))
def test_gfd_may_write_its_labels(key: str) -> None:
    assert may("gfd", "wrongLabels", key)
    assert not may("gpu-device-plugin", "wrongLabels", key)


NAMESPACES = st.sampled_from([
    *("", "kubernetes.io", "k8s.io", "feature.node.kubernetes.io", "profile.node.kubernetes.io", "xkubernetes.io"),
    *("node-role.kubernetes.io", "a.feature.node.kubernetes.io", "xfeature.node.kubernetes.io", "node.k8s.io"),
    *("nvidia.com", "gpunode.nvidia.com", "a.gpunode.nvidia.com", "example.com", "requests.example.com", "x-k8s.io"),
    *("a.profile.node.kubernetes.io", "feature.node.kubernetes.io.example.com", "kubernetes.io.example.com"),
])  # fmt: skip
KEYS = st.builds(lambda prefix, name: f"{prefix}/{name}" if prefix else name, NAMESPACES, st.sampled_from(["a", "b.c"]))
BARE_ARE_PREFIXED = "a rule's key without a namespace gets a namespace before validation"


@given(key=KEYS)
def test_rules_may_write_exactly_the_keys_that_the_policy_allows(key: str) -> None:
    if "/" not in key:
        assert not any(may("nfd-lite", name, key) for name in ("wrongLabels", "wrongAnnotations")), BARE_ARE_PREFIXED
        return
    assert may("nfd-lite", "wrongLabels", key) == is_valid(lambda: validate_label(key, "1", OutputPolicy()))
    assert may("nfd-lite", "wrongAnnotations", key) == is_valid(lambda: validate_annotation(key, "1"))
    assert may("nfd-lite", "wrongCapacity", key) == is_valid(lambda: normalize_resource(key, "1"))


@given(key=KEYS, value=st.sampled_from(["", "1"]))
def test_rules_may_set_exactly_the_taints_that_the_policy_allows(key: str, value: str) -> None:
    taint = Taint(key=key, value=value, effect="NoSchedule")
    assert may("nfd-lite", "wrongTaints", str(taint)) == (taint_problem(taint) is None)


def is_valid(validate: Any) -> bool:
    try:
        validate()
    except ValueError:
        return False
    return True


def test_gfd_may_remove_premium_outputs_of_earlier_versions_and_may_not_write_labels_that_control_agents() -> None:
    assert may("gfd", "wrongLabels", "nvidia.com/gpu.premium")
    assert may("gfd", "wrongTaints", "nvidia.com/gpu.premium=true:NoSchedule")
    assert not may("gfd", "wrongTaints", "example.com/x:NoSchedule")
    assert not any(may("gfd", "wrongLabels", key) for key in (GPU_PRESENT, DEVICE_PLUGIN_CONFIG))


def test_mig_manager_may_write_the_state_and_nothing_else() -> None:
    assert may("mig-manager", "wrongLabels", MIG_CONFIG_STATE)
    assert f"type == '{MIG_CONFIGURED}'" in variable("wrongConditions")
    for key in (MIG_CONFIG, GPU_PRESENT, "nvidia.com/mig.strategy", "example.com/a"):
        assert not may("mig-manager", "wrongLabels", key)
    assert not any(may("gfd", "wrongLabels", key) for key in (MIG_CONFIG, MIG_CONFIG_STATE))


def test_gpu_validator_may_write_its_condition_and_nothing_else() -> None:
    assert f"variables.validator && type == '{GPU_VALIDATED}'" in variable("wrongConditions")
    assert not any(may("gpu-validator", "wrongLabels", key) for key in (MIG_CONFIG_STATE, GPU_PRESENT, "example.com/a"))
    assert not may("gpu-validator", "wrongTaints", "nvidia.com/gpu:NoSchedule")


def test_mig_manager_may_remove_the_record_of_paused_daemon_sets_and_no_other_agent_may() -> None:
    for pause in Pause:
        allowed = {agent for agent in AGENTS if may(agent, "wrongAnnotations", pause.annotation)}
        assert allowed == ({"mig-manager"} if pause is Pause.MIG_CHANGE else set())


def test_without_the_setting_mig_manager_may_only_restore_labels_that_are_paused() -> None:
    restored = f"variables.oldLabels[?k].orValue('') == '{Pause.MIG_CHANGE}'"
    owned = f"variables.changedLabels.filter(k, k.startsWith('{DEPLOY}') && ( {restored} ))"
    assert " ".join(variable("pausedLabels").split()) == f"variables.mig ? {owned} : []"
    assert not any(may(agent, "wrongLabels", f"{DEPLOY}dcgm") for agent in ("gfd", "gpu-device-plugin"))


def test_each_agent_may_write_only_its_own_taints_annotation() -> None:
    annotations = {
        NFD: RULE_TAINTS_ANNOTATION,
        "gfd": GFD_TAINTS_ANNOTATION,
        "gpu-device-plugin": STARTUP_TAINT_ANNOTATION,
    }
    for agent, own_annotation in annotations.items():
        assert {key for key in annotations.values() if may(agent, "wrongAnnotations", key)} == {own_annotation}
    assert {RULE_TAINTS_ANNOTATION, GFD_TAINTS_ANNOTATION} == set(
        re.findall(r"'([^']*taints)'", variable("taintAnnotations"))
    )


def test_the_plugin_may_write_its_condition_and_the_documented_startup_taint() -> None:
    assert f"type == '{GPU_READY}'" in variable("wrongConditions")
    assert re.escape(STARTUP).replace(r"\.", "[.]").replace(r"\-", "-") in variable("wrongTaints")
    assert f"--startup-taint {STARTUP}:NoSchedule" in (ROOT / "docs" / "reference" / "health.md").read_text()


def test_the_policy_protects_the_labels_to_which_nfd_lite_yields() -> None:
    (others,) = YIELDS_TO.values()
    assert [f"m.manager == '{each}'" in variable("labelsOfGfd") for each in others] == [True]
    assert f"m.manager == '{NFD}'" in variable("capacityOfRules")


def test_the_policy_uses_the_names_of_the_agents_node_features() -> None:
    assert f"['{GFD_PREFIX}' + variables.node]" in variable("names", "gpunode-node-features")
    text = yaml.safe_dump(policies()["gpunode-node-features"]["validations"])
    assert f"'{NODE_NAME_LABEL}'" in text.replace("''", "'")


def test_every_policy_is_bound_fails_closed_and_matches_only_agents() -> None:
    objects = list(yaml.safe_load_all((BASE / "admission.yaml").read_text()))
    bindings = [each["spec"] for each in objects if each["kind"] == "ValidatingAdmissionPolicyBinding"]
    assert {each["policyName"] for each in bindings} == policies().keys()
    assert all(each["validationActions"] == ["Deny"] for each in bindings)
    for spec in policies().values():
        assert spec["failurePolicy"] == "Fail"
        (condition,) = spec["matchConditions"]
        accounts = set(re.findall(r"'system:serviceaccount:gpunode:([^']+)'", condition["expression"]))
        assert accounts <= AGENTS.keys() | WITHOUT_NODES | {"gpunode", "gpunode-cleanup"}
    assert accounts_of("gpunode-nodes") == AGENTS.keys() | {"gpunode", "gpunode-cleanup"}


def test_the_policy_of_events_covers_every_agent_of_a_node_that_may_create_some() -> None:
    """gpu-operator belongs to no Node. The overlay of `gpunode run` patches the bindings of the others."""
    files = [*BASE.glob("*.yaml"), *(ROOT / "manifests" / "overlays").glob("*/*.yaml")]
    objects = [each for file in files for each in yaml.safe_load_all(file.read_text()) if each]
    roles = {
        each["metadata"]["name"]
        for each in objects
        if each.get("kind") == "ClusterRole"
        and any("events" in rule["resources"] and "create" in rule["verbs"] for rule in each["rules"])
    }
    bindings = [
        each for each in objects if each.get("kind") == "ClusterRoleBinding" and each["roleRef"]["name"] in roles
    ]
    accounts = {subject["name"] for each in bindings for subject in each["subjects"]}
    assert {"gpu-toolkit", "gpu-validator"} <= accounts
    assert accounts_of("gpunode-events") == accounts - {"gpu-operator"} | {"gpunode"}


def test_the_policy_of_the_topology_agent_is_bound_fails_closed_and_matches_only_this_agent() -> None:
    file = ROOT / "manifests" / "overlays" / "topology" / "nfd-lite-topology.yaml"
    objects = {each["kind"]: each for each in yaml.safe_load_all(file.read_text())}
    spec = objects["ValidatingAdmissionPolicy"]["spec"]
    (condition,) = spec["matchConditions"]
    assert condition["expression"] == "request.userInfo.username == 'system:serviceaccount:gpunode:nfd-lite-topology'"
    assert spec["failurePolicy"] == "Fail"
    binding = objects["ValidatingAdmissionPolicyBinding"]["spec"]
    assert binding == {"policyName": "gpunode-topology", "validationActions": ["Deny"]}
    (rule,) = spec["matchConstraints"]["resourceRules"]
    granted = [each for each in objects["ClusterRole"]["rules"] if each["resources"] == rule["resources"]]
    assert [set(each["verbs"]) - {"get", "list", "watch"} for each in granted] == [{"create", "patch"}]
    assert rule["operations"] == ["CREATE", "UPDATE"]


def accounts_of(policy: str) -> set[str]:
    (condition,) = policies()[policy]["matchConditions"]
    return set(re.findall(r"'system:serviceaccount:gpunode:([^']+)'", condition["expression"]))


def test_driver_pods_and_gpu_operator_may_write_exactly_their_keys_of_nodes() -> None:
    found = yaml.safe_load_all((OVERLAYS / "gpu-operator/gpu-operator.yaml").read_text())
    (policy,) = (each["spec"] for each in found if each["kind"] == "ValidatingAdmissionPolicy")
    (wrong,) = (each["expression"] for each in policy["variables"] if each["name"] == "wrongKeys")
    driver, operator = (set(re.findall(r"'([^']+/[^']*)'", part)) for part in wrong.split("\n: "))
    assert driver == {DEPLOY, Pause.DRIVER_UPGRADE.annotation, CORDON}
    prefix = "nvidia.com/gpunode.driver-upgrade."
    assert operator == {OWNER, STATE, prefix} | {each for each in ANNOTATIONS if not each.startswith(prefix)}
