"""Labels that Nodes do not have: the values that they have instead, and the nearest. PURE."""

from collections import Counter
from collections.abc import Iterator, Sequence

from gpunode.why.amounts import count
from gpunode.why.causes import affinity_terms, render_requirement
from node_core.scheduling.filters import NODE_NAME, matches_requirement
from node_core.scheduling.objects import Node, Pod, Requirement
from node_core.schema import similar

MOST_VALUES = 4


def label_of(node: Node, key: str) -> str | None:
    """Returns the value of a label, or the name for the field `metadata.name`."""
    return node.name if key == NODE_NAME else node.labels.get(key)


def node_matches(requirement: Requirement, node: Node) -> bool:
    values = {NODE_NAME: node.name} if requirement.key == NODE_NAME else node.labels
    return matches_requirement(requirement, values)


def describe_label(requirement: Requirement, nodes: Sequence[Node]) -> str:
    """Describes what the Nodes have in place of a required label."""
    key, values = requirement.key, [label_of(node, requirement.key) for node in nodes]
    counts = Counter(value for value in values if value is not None)
    is_simple = requirement.operator == "In" and len(requirement.values) == 1
    required = f", not {requirement.values[0]}" if is_simple else f"; required: {render_requirement(requirement)}"
    if not counts:
        return f"does not have the label {render_requirement(requirement)}"
    some = " or missing" if sum(counts.values()) < len(values) else ""
    return f"{key} is {_list_values(counts, has_counts=len(counts) > 1)}{some}{required}"


def required_everywhere(pod: Pod) -> Iterator[Requirement]:
    """Yields the requirements of the nodeSelector and of all terms of the node affinity."""
    for key, value in sorted(pod.spec.node_selector.items()):
        yield Requirement(key=key, operator="In", values=(value,))
    for term in affinity_terms(pod):
        yield from term


def find_hopeless(pod: Pod, nodes: Sequence[Node]) -> tuple[Requirement, ...]:
    """Returns the requirements that no Node matches."""
    needs = dict.fromkeys(required_everywhere(pod))
    return tuple(need for need in needs if not any(node_matches(need, node) for node in nodes))


def describe_hopeless(requirement: Requirement, nodes: Sequence[Node]) -> str:
    """States that no Node matches a requirement, and what is nearest."""
    counts = Counter(value for node in nodes if (value := label_of(node, requirement.key)) is not None)
    start = f"No node matches {render_requirement(requirement)}."
    if requirement.key == NODE_NAME:
        return f"{start}{_did_you_mean(requirement, counts, nodes)}"
    if not counts:
        return f"{start} No node has a label with this key.{_nearest_key(requirement.key, nodes)}"
    near = _did_you_mean(requirement, counts, nodes)
    return f"{start}{near or f' The values of this label are {_list_values(counts, has_counts=True)}.'}"


def find_nearest(requirement: Requirement, nodes: Sequence[Node]) -> str | None:
    """Returns the value of a Node that is most similar to a required value; None if none is similar."""
    if requirement.operator != "In":
        return None
    values = sorted({value for node in nodes if (value := label_of(node, requirement.key)) is not None})
    return next((near for wanted in requirement.values if (near := similar(wanted, values))), None)


def _did_you_mean(requirement: Requirement, counts: Counter[str], nodes: Sequence[Node]) -> str:
    if (near := find_nearest(requirement, nodes)) is None:
        return ""
    number = count(counts[near], "node")
    return f" Did you mean {near}? {number} {_has(counts[near])} this value.{_suffix(requirement, near)}"


def _has(number: int) -> str:
    return "has" if number == 1 else "have"


def _suffix(requirement: Requirement, near: str) -> str:
    """Explains the suffixes of gpu.product."""
    if not requirement.key.endswith(".product"):
        return ""
    added = {near.removeprefix(wanted) for wanted in requirement.values if near.startswith(wanted)}
    if any("-SHARED" in each for each in added):
        return " The suffix -SHARED means that the GPUs are shared by time-slicing or MPS."
    if any(each.startswith("-MIG-") for each in added):
        return " The suffix -MIG-<profile> means that pods get MIG devices."
    return ""


def _nearest_key(key: str, nodes: Sequence[Node]) -> str:
    keys = sorted({each for node in nodes for each in node.labels})
    near = similar(key, keys)
    return f" Did you mean the label {near}?" if near else ""


def _list_values(counts: Counter[str], *, has_counts: bool) -> str:
    common = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    shown = [f"{value} ({count(number, 'node')})" if has_counts else value for value, number in common[:MOST_VALUES]]
    more = f" and {len(common) - MOST_VALUES} other values" if len(common) > MOST_VALUES else ""
    return ", ".join(shown) + more
