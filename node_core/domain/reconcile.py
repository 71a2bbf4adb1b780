"""Plans the writes that make the observed objects equal to the desired outputs. PURE.

The order of writes is: taints, extended resources, labels and annotations in one request. A taint precedes the labels, so no pod is
scheduled to the Node by a label before the taint exists.
"""

from collections.abc import Mapping

import msgspec

from node_core.domain.desired import Outputs
from node_core.domain.extended_resources import ResourcePlan, blocked_resources, plan_resources
from node_core.domain.labels import GPU_DEPLOY_DRIVER, Labels
from node_core.domain.node import NodeView
from node_core.domain.node_feature import NodeFeature
from node_core.domain.taints import Taint, TaintPlan, blocked_taints, owned_taints, parse_taint_annotation, plan_taints

YIELDS_TO: Mapping[str, tuple[str, ...]] = {"nfd-lite": ("gfd",)}
"""Field manager -> the managers whose labels it never writes. So a rule cannot change a label that gfd publishes."""

YIELDS_TO_ALL = frozenset({GPU_DEPLOY_DRIVER})
"""Labels that also people set. An agent never overwrites the value of another client."""


class SetTaints(msgspec.Struct, frozen=True, kw_only=True):
    """observed: the state of the Node for this plan. The API server rejects the write if the Node has changed since."""

    plan: TaintPlan
    observed: NodeView


class SetCapacity(msgspec.Struct, frozen=True, kw_only=True):
    plan: ResourcePlan


class ApplyMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """All labels and annotations that the field manager owns after the write."""

    labels: Labels
    annotations: Mapping[str, str]


class ApplyNodeFeature(msgspec.Struct, frozen=True, kw_only=True):
    node_feature: NodeFeature


class WriteText(msgspec.Struct, frozen=True, kw_only=True):
    """The whole content of a file, or of one output on standard output."""

    text: str


Write = SetTaints | SetCapacity | ApplyMetadata | ApplyNodeFeature | WriteText


class FieldOwner(msgspec.Struct, frozen=True, kw_only=True):
    """manager: the field manager, `nfd-lite` or `gfd`. taints_annotation: the annotation that records the taints of this manager.

    may_overwrite: a label that another client has set to another value is overwritten.
    """

    manager: str
    taints_annotation: str
    may_overwrite: bool = True

    def recorded_taints(self, node: NodeView) -> frozenset[Taint]:
        return parse_taint_annotation(node.annotations.get(self.taints_annotation, ""))


class BlockedOutput(msgspec.Struct, frozen=True, kw_only=True):
    """A desired output that is not written. event: the log event. kind: the log field for the name. why: the reason, for people."""

    event: str
    kind: str
    name: str
    why: str


def select_published(node: NodeView, owner: FieldOwner) -> Outputs:
    """Returns the outputs on the Node that belong to this owner."""
    return Outputs(
        labels=node.labels_by(owner.manager),
        annotations=node.annotations_by(owner.manager),
        taints=owned_taints(node.taints, owner.recorded_taints(node)),
        extended_resources=node.capacity_by(owner.manager),
    )


def reconcile_node(outputs: Outputs, node: NodeView, owner: FieldOwner) -> tuple[Write, ...]:
    """Returns the writes to the Node in order. There are none if the owner has exactly these outputs on the Node."""
    capacity = plan_resources(node, outputs.extended_resources, owner.manager)
    return (
        *reconcile_taints(outputs, node, owner),
        *(() if capacity is None else (SetCapacity(plan=capacity),)),
        *_reconcile_metadata(outputs, node, owner),
    )


def reconcile_taints(outputs: Outputs, node: NodeView, owner: FieldOwner) -> tuple[SetTaints, ...]:
    plan = plan_taints(node.taints, outputs.taints, owner.recorded_taints(node))
    return () if plan is None else (SetTaints(plan=plan, observed=node),)


def _reconcile_metadata(outputs: Outputs, node: NodeView, owner: FieldOwner) -> tuple[ApplyMetadata, ...]:
    labels = select_writable(outputs.labels, node, owner)
    published = (node.labels_by(owner.manager), node.annotations_by(owner.manager))
    if published == (labels, outputs.annotations):
        return ()
    return (ApplyMetadata(labels=labels, annotations=outputs.annotations),)


def find_blocked_outputs(outputs: Outputs, node: NodeView, owner: FieldOwner) -> tuple[BlockedOutput, ...]:
    """Returns the desired outputs that cannot be written because another writer owns them."""
    taints = blocked_taints(node.taints, outputs.taints, owner.recorded_taints(node))
    resources = blocked_resources(node, outputs.extended_resources, owner.manager)
    labels = {
        **dict.fromkeys(_overwritten_labels(outputs.labels, node, owner), "another client has set another value"),
        **dict.fromkeys(_labels_of_others(outputs.labels, node, owner), "another agent publishes this label"),
    }
    return (
        *(_blocked("taint", str(each), "another writer has set a taint with this key and effect") for each in taints),
        *(_blocked("resource", each, "another writer has set this resource") for each in resources),
        *(BlockedOutput(event="label_not_set", kind="key", name=each, why=why) for each, why in sorted(labels.items())),
    )


def _blocked(kind: str, name: str, why: str) -> BlockedOutput:
    return BlockedOutput(event=f"{kind}_not_set", kind=kind, name=name, why=why)


def select_writable(labels: Labels, node: NodeView, owner: FieldOwner) -> dict[str, str]:
    """Returns the labels that the owner may write."""
    blocked = _labels_of_others(labels, node, owner) | _overwritten_labels(labels, node, owner)
    return {key: value for key, value in labels.items() if key not in blocked}


def _overwritten_labels(labels: Labels, node: NodeView, owner: FieldOwner) -> frozenset[str]:
    """Returns the label keys that another client has set to another value, and that the owner may not overwrite."""
    owned = node.owned.get(owner.manager, ())
    return frozenset(
        key
        for key, value in labels.items()
        if not (owner.may_overwrite and key not in YIELDS_TO_ALL)
        and key not in owned
        and node.labels.get(key, value) != value
    )


def _labels_of_others(labels: Labels, node: NodeView, owner: FieldOwner) -> frozenset[str]:
    """Returns the label keys that agents of YIELDS_TO own. Two agents that set the same label would overwrite each other without end."""
    others = {key for manager in YIELDS_TO.get(owner.manager, ()) for key in node.owned.get(manager, ())}
    return frozenset(others & labels.keys())
