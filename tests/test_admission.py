"""The admission policies let through what the agents write, and no more: their conditions are compared with the code's declarations.

What the API server makes of them is proven in tests/e2e/test_policy.py.
"""

import functools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from device_plugin.health.news import CONDITION
from device_plugin.health.startup_taint import CLAIM
from gfd.labelers import DECLARED
from nfd_lite.agent import NAME as NFD
from nfd_lite.rules.outputs import OutputPolicy, settle_annotation, settle_label, settle_resource, taint_problem
from node_core.domain.labels import GPU_PRESENT
from node_core.domain.node_feature import GFD_PREFIX, NODE_NAME_LABEL
from node_core.domain.premium import PREFIX, RESERVED
from node_core.domain.taints import RULE_TAINTS_ANNOTATION, TAINTS_ANNOTATION, Taint
from node_core.publish.node import YIELDS_TO
from tests.cel import exemptions

ROOT = Path(__file__).parent.parent
BASE = ROOT / "manifests" / "base"
GOLDEN = ROOT / "tests" / "golden"
AGENTS = {"nfd-lite": "nfd", "gfd": "gfd", "gpu-device-plugin": "plugin"}
"""Account -> the variable of the policy that says that it is this one."""
STARTUP = "nvidia.com/gpu-not-ready"


@functools.cache
def policies() -> dict[str, dict[str, Any]]:
    objects = yaml.safe_load_all((BASE / "admission.yaml").read_text())
    return {each["metadata"]["name"]: each["spec"] for each in objects if each["kind"] == "ValidatingAdmissionPolicy"}


def variable(name: str, policy: str = "gpunode-nodes") -> str:
    found: str = next(each["expression"] for each in policies()[policy]["variables"] if each["name"] == name)
    return found


def may(agent: str, name: str, text: str) -> bool:
    """Whether this text is the agent's own, by what the variable lets through."""
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
BARE_ARE_PREFIXED = "a rule's key without a namespace gets one before it is settled, so none comes here"


@given(key=KEYS)
def test_rules_may_write_just_the_keys_that_the_policy_lets_through(key: str) -> None:
    if "/" not in key:
        assert not any(may("nfd-lite", name, key) for name in ("wrongLabels", "wrongAnnotations")), BARE_ARE_PREFIXED
        return
    assert may("nfd-lite", "wrongLabels", key) == is_settled(lambda: settle_label(key, "1", OutputPolicy()))
    assert may("nfd-lite", "wrongAnnotations", key) == is_settled(lambda: settle_annotation(key, "1"))
    assert may("nfd-lite", "wrongCapacity", key) == is_settled(lambda: settle_resource(key, "1"))


@given(key=KEYS, value=st.sampled_from(["", "1"]))
def test_rules_may_set_just_the_taints_that_the_policy_lets_through(key: str, value: str) -> None:
    taint = Taint(key=key, value=value, effect="NoSchedule")
    assert may("nfd-lite", "wrongTaints", str(taint)) == (taint_problem(taint) is None)


def is_settled(settle: Any) -> bool:
    try:
        settle()
    except ValueError:
        return False
    return True


def test_premium_rules_may_use_just_the_keys_that_the_policy_lets_through() -> None:
    assert may("gfd", "wrongLabels", f"{PREFIX}gpu.premium")
    assert may("gfd", "wrongTaints", f"{PREFIX}gpu.premium=true:NoSchedule")
    assert not may("gfd", "wrongTaints", "example.com/x:NoSchedule")
    assert not any(may("gfd", "wrongLabels", key) for key in RESERVED)


def test_each_agent_has_the_annotation_that_claims_its_taints() -> None:
    claims = {NFD: RULE_TAINTS_ANNOTATION, "gfd": TAINTS_ANNOTATION, "gpu-device-plugin": CLAIM}
    for agent in AGENTS:
        assert {key for key in claims.values() if may(agent, "wrongAnnotations", key)} == {claims[agent]}
    assert {RULE_TAINTS_ANNOTATION, TAINTS_ANNOTATION} == set(re.findall(r"'([^']*taints)'", variable("claims")))


def test_the_plugin_has_its_condition_and_the_startup_taint_of_the_documents() -> None:
    assert f"type == '{CONDITION}'" in variable("wrongConditions")
    assert re.escape(STARTUP).replace(r"\.", "[.]").replace(r"\-", "-") in variable("wrongTaints")
    assert f"--startup-taint {STARTUP}:NoSchedule" in (ROOT / "docs" / "health.md").read_text()


def test_labels_are_left_to_whom_nfd_lite_leaves_them() -> None:
    (others,) = YIELDS_TO.values()
    assert [f"m.manager == '{each}'" in variable("labelsOfGfd") for each in others] == [True]
    assert f"m.manager == '{NFD}'" in variable("capacityOfRules")


def test_node_features_are_named_as_the_agents_name_them() -> None:
    assert f"['{GFD_PREFIX}' + variables.node]" in variable("names", "gpunode-node-features")
    text = yaml.safe_dump(policies()["gpunode-node-features"]["validations"])
    assert f"'{NODE_NAME_LABEL}'" in text.replace("''", "'")


def test_every_policy_is_bound_fails_closed_and_looks_at_agents_alone() -> None:
    objects = list(yaml.safe_load_all((BASE / "admission.yaml").read_text()))
    bindings = [each["spec"] for each in objects if each["kind"] == "ValidatingAdmissionPolicyBinding"]
    assert {each["policyName"] for each in bindings} == policies().keys()
    assert all(each["validationActions"] == ["Deny"] for each in bindings)
    for spec in policies().values():
        assert spec["failurePolicy"] == "Fail"
        (condition,) = spec["matchConditions"]
        accounts = set(re.findall(r"'system:serviceaccount:gpunode:([^']+)'", condition["expression"]))
        assert accounts <= AGENTS.keys() | {"gpunode", "gpunode-cleanup"}
    assert accounts_of("gpunode-nodes") == AGENTS.keys() | {"gpunode", "gpunode-cleanup"}


def accounts_of(policy: str) -> set[str]:
    (condition,) = policies()[policy]["matchConditions"]
    return set(re.findall(r"'system:serviceaccount:gpunode:([^']+)'", condition["expression"]))
