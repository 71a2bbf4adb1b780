"""NodeResourceTopology objects: desired and observed. PURE. Source: the API topology.node.k8s.io/v1alpha2."""

from collections.abc import Mapping
from typing import Any

import msgspec

from nfd_lite.topology.kubelet_policy import KubeletPolicy
from nfd_lite.topology.zones import Zone
from node_core.domain.managed_fields import find_owned_keys

MANAGER = "nfd-lite-topology"
API_VERSION = "topology.node.k8s.io/v1alpha2"
KIND = "NodeResourceTopology"
FINGERPRINT_ANNOTATION = "topology.node.k8s.io/fingerprint"
FINGERPRINT_ATTRIBUTE = "nodeTopologyPodsFingerprint"
_CONTENT = ("topologyPolicies", "attributes", "zones")


class TopologyView(msgspec.Struct, frozen=True, kw_only=True):
    """An observed object. content: its fields topologyPolicies, attributes and zones. annotations: those that this agent applied.

    is_of_agent: this agent has written the object. has_foreign_fingerprint: another client has set the annotation of the fingerprint.
    owners: the uids in ownerReferences. list_number: see versions.Versioned; 0 without an informer.
    """

    uid: str
    resource_version: str
    content: Mapping[str, Any]
    annotations: Mapping[str, str] = msgspec.field(default_factory=dict)
    is_of_agent: bool = False
    has_foreign_fingerprint: bool = False
    owners: frozenset[str] = frozenset()
    list_number: int = 0


class NodeTopology(msgspec.Struct, frozen=True, kw_only=True):
    """A desired object. fingerprint: of all pods of the node; None to publish none."""

    policy: KubeletPolicy
    zones: tuple[Zone, ...]
    fingerprint: str | None = None

    def is_applied_in(self, live: TopologyView | None, node_uid: str) -> bool:
        """True if the live object already has exactly this state."""
        return live is not None and (
            live.content == _render_content(self)
            and live.annotations == _render_annotations(self)
            and not self.must_take_fingerprint(live)
            and node_uid in live.owners
        )

    def must_take_fingerprint(self, live: TopologyView | None) -> bool:
        """True if the object has a fingerprint of another client, such as nfd-topology-updater, that is not updated any more.

        A server-side apply removes only what the same field manager has set.
        """
        return live is not None and self.fingerprint is None and live.has_foreign_fingerprint


def parse_topology(obj: Mapping[str, Any], *, list_number: int = 0) -> TopologyView:
    """Parses the JSON of a NodeResourceTopology object."""
    metadata = obj["metadata"]
    annotations = metadata.get("annotations") or {}
    owners = find_owned_keys(metadata.get("managedFields"), "metadata", "annotations")
    owned = owners.get(MANAGER, frozenset())
    return TopologyView(
        uid=metadata.get("uid", ""),
        resource_version=metadata.get("resourceVersion", ""),
        content={name: obj[name] for name in _CONTENT if name in obj},
        annotations={key: value for key, value in annotations.items() if key in owned},
        is_of_agent=any(entry.get("manager") == MANAGER for entry in metadata.get("managedFields") or ()),
        has_foreign_fingerprint=FINGERPRINT_ANNOTATION in annotations
        and any(FINGERPRINT_ANNOTATION in keys for manager, keys in owners.items() if manager != MANAGER),
        owners=frozenset(owner.get("uid", "") for owner in metadata.get("ownerReferences") or ()),
        list_number=list_number,
    )


def render_topology(desired: NodeTopology, *, node_name: str, node_uid: str) -> dict[str, Any]:
    """Renders a server-side apply. node_uid: the Node owns the object, so Kubernetes deletes the object with the Node. Empty: no owner."""
    metadata: dict[str, Any] = {"name": node_name}
    if annotations := _render_annotations(desired):
        metadata["annotations"] = annotations
    if node_uid:
        metadata["ownerReferences"] = [{"apiVersion": "v1", "kind": "Node", "name": node_name, "uid": node_uid}]
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, **_render_content(desired)}


def _render_annotations(desired: NodeTopology) -> dict[str, str]:
    return {} if desired.fingerprint is None else {FINGERPRINT_ANNOTATION: desired.fingerprint}


def _render_content(desired: NodeTopology) -> dict[str, Any]:
    attributes = {
        "topologyManagerPolicy": desired.policy.policy,
        "topologyManagerScope": desired.policy.scope,
        **({} if desired.fingerprint is None else {FINGERPRINT_ATTRIBUTE: desired.fingerprint}),
    }
    return {
        "topologyPolicies": list(desired.policy.names),
        "attributes": [{"name": name, "value": value} for name, value in attributes.items()],
        "zones": [_render_zone(zone) for zone in desired.zones],
    }


def _render_zone(zone: Zone) -> dict[str, Any]:
    resources = [
        {
            "name": each.name,
            "capacity": str(each.capacity),
            "allocatable": str(each.allocatable),
            "available": str(each.available),
        }
        for each in zone.resources
    ]
    costs = [{"name": name, "value": value} for name, value in zone.distances.items()]
    return {
        "name": zone.name,
        "type": "Node",
        **({"costs": costs} if costs else {}),
        **({"resources": resources} if resources else {}),
    }
