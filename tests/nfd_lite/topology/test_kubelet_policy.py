"""The topology manager policy in configurations of the kubelet."""

from typing import Any

import pytest

from nfd_lite.topology.kubelet_policy import KubeletPolicy, parse_kubelet_policy
from node_core.errors import KubeletError


@pytest.mark.parametrize(
    ("document", "policy", "scope"),
    [
        pytest.param({}, "none", "container", id="defaults"),
        pytest.param({"topologyManagerPolicy": "restricted"}, "restricted", "container", id="a file"),
        pytest.param(
            {"kubeletconfig": {"topologyManagerPolicy": "single-numa-node", "topologyManagerScope": "pod"}},
            "single-numa-node",
            "pod",
            id="configz",
        ),
        pytest.param(
            {"topologyManagerPolicy": None, "topologyManagerScope": ""}, "none", "container", id="empty values"
        ),
    ],
)
def test_the_policy_and_its_scope_are_read(document: Any, policy: str, scope: str) -> None:
    assert parse_kubelet_policy(document) == KubeletPolicy(policy=policy, scope=scope)


@pytest.mark.parametrize(
    "document",
    [None, [], "text", 5, {"kubeletconfig": []}, {"topologyManagerPolicy": 5}, {"topologyManagerScope": {"a": 1}}],
)
def test_any_other_document_is_an_error(document: Any) -> None:
    with pytest.raises(KubeletError, match="the kubelet's configuration"):
        parse_kubelet_policy(document)


@pytest.mark.parametrize(
    ("policy", "scope", "names"),
    [
        ("none", "container", ["None"]),
        ("none", "pod", ["None"]),
        ("best-effort", "container", ["BestEffortContainerLevel"]),
        ("best-effort", "pod", ["BestEffortPodLevel"]),
        ("restricted", "container", ["RestrictedContainerLevel"]),
        ("restricted", "pod", ["RestrictedPodLevel"]),
        ("single-numa-node", "container", ["SingleNUMANodeContainerLevel"]),
        ("single-numa-node", "pod", ["SingleNUMANodePodLevel"]),
        ("of-a-later-kubelet", "container", []),
    ],
)
def test_the_names_of_policies_are_those_of_the_api(policy: str, scope: str, names: list[str]) -> None:
    assert list(KubeletPolicy(policy=policy, scope=scope).names) == names
