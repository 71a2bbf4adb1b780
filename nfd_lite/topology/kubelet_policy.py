"""The topology manager policy of the kubelet, from its configuration. PURE.

Sources: the kubelet's API kubelet.config.k8s.io/v1beta1, KubeletConfiguration; the API topology.node.k8s.io/v1alpha2.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from node_core.errors import KubeletError

_NAMES = {
    ("single-numa-node", "container"): "SingleNUMANodeContainerLevel",
    ("single-numa-node", "pod"): "SingleNUMANodePodLevel",
    ("restricted", "container"): "RestrictedContainerLevel",
    ("restricted", "pod"): "RestrictedPodLevel",
    ("best-effort", "container"): "BestEffortContainerLevel",
    ("best-effort", "pod"): "BestEffortPodLevel",
    ("none", "container"): "None",
    ("none", "pod"): "None",
}


class KubeletPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """policy: `none`, `best-effort`, `restricted`, `single-numa-node`, or one of a later kubelet. scope: `container` or `pod`."""

    policy: str = "none"
    scope: str = "container"

    @property
    def names(self) -> tuple[str, ...]:
        """The value of the deprecated field topologyPolicies. Empty for a policy that the API does not know."""
        name = _NAMES.get((self.policy, self.scope))
        return () if name is None else (name,)


def parse_kubelet_policy(document: Any) -> KubeletPolicy:
    """Parses a KubeletConfiguration, or the response of the kubelet's endpoint configz, which contains one. Raises KubeletError."""
    config = document.get("kubeletconfig", document) if isinstance(document, Mapping) else None
    if not isinstance(config, Mapping):
        raise KubeletError("the kubelet's configuration is not a mapping")
    values = {name: config.get(f"topologyManager{name.capitalize()}") or None for name in ("policy", "scope")}
    for name, value in values.items():
        if value is not None and not isinstance(value, str):
            raise KubeletError(f"the kubelet's configuration: topologyManager{name.capitalize()} is not text")
    return KubeletPolicy(**{name: value for name, value in values.items() if value is not None})
