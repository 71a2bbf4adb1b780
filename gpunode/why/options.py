"""Which changes remove one cause, and how much each change costs. PURE."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import msgspec

from gpunode.cluster.fleet import GPU, describe_node
from gpunode.why.causes import (
    AffinityCause,
    Candidate,
    Cause,
    CauseKind,
    LabelCause,
    ShortageCause,
    TaintCause,
    offered_resources,
)
from gpunode.why.changes import (
    AddToleration,
    Change,
    ChangeAffinity,
    ChangeSelector,
    FreeResource,
    RepairDevices,
    RepairNode,
    RequestLess,
    RequestOther,
    Uncordon,
    largest_request,
)
from gpunode.why.groups import PASSING_TAINTS
from gpunode.why.labels import find_hopeless, find_nearest, label_of
from gpunode.why.resources import allocatable_of, capacities, find_unknown_resources, nearest_resource
from node_core.scheduling.filters import NODE_NAME, Insufficient
from node_core.scheduling.objects import Pod, Requirement
from node_core.scheduling.requests import PODS, is_counted_in_devices
from node_core.schema import similar

CONTROL_PLANE = "node-role.kubernetes.io/"
TYPO, TOLERATION, FREE, UNCORDON, REPAIR = 1.0, 2.0, 3.0, 3.0, 4.0
LESS, REPAIR_NODE, OTHER, REMOVAL, UNUSUAL = 5.0, 5.0, 6.0, 7.0, 9.0
"""The cost of a change: how far the result is from what the Pod states. OTHER: another label value or resource that is not a typing error.

The correction of two typing errors is a smaller change than one change of what the Pod means.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    change: Change
    cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """hopeless: requirements that no Node matches -> the nearest value that a Node has, or None. unknown: requested resources that no Node
    offers. Both are probably typing errors.
    """

    pod: Pod
    requests: Mapping[str, Fraction]
    hopeless: Mapping[Requirement, str | None]
    unknown: frozenset[str]


def make_question(pod: Pod, requests: Mapping[str, Fraction], candidates: Sequence[Candidate]) -> Question:
    nodes = [each.node for each in candidates]
    return Question(
        pod=pod,
        requests=requests,
        hopeless={each: find_nearest(each, nodes) for each in find_hopeless(pod, nodes)},
        unknown=frozenset(find_unknown_resources(requests, nodes)),
    )


def list_options(cause: Cause, candidate: Candidate, question: Question) -> tuple[Option, ...]:
    """Returns the changes that could remove a cause; empty if none can."""
    match cause:
        case LabelCause():
            return (_label_option(cause, candidate, question),)
        case TaintCause():
            return (_taint_option(cause, candidate),)
        case ShortageCause():
            return tuple(_shortage_options(cause.kind, cause.shortage, candidate, question))
        case Cause(kind=CauseKind.CORDONED):
            return (Option(change=Uncordon(node=candidate.name), cost=UNCORDON),)
    return ()


def list_affinity_options(
    cause: AffinityCause, candidate: Candidate, question: Question
) -> Iterator[tuple[Option, ...]]:
    """Yields for each term the changes that together make the term match."""
    for position, term in enumerate(cause.terms):
        if term:
            yield tuple(_requirement_option(each, position, candidate, question) for each in term)


def _taint_option(cause: TaintCause, candidate: Candidate) -> Option:
    key = cause.taint.key
    if cause.kind is CauseKind.NOT_READY or key in PASSING_TAINTS:
        return Option(change=RepairNode(node=candidate.name, taint=cause.taint), cost=REPAIR_NODE)
    cost = UNUSUAL if key.startswith(CONTROL_PLANE) else TOLERATION
    return Option(change=AddToleration(taint=cause.taint), cost=cost)


def _label_option(cause: LabelCause, candidate: Candidate, question: Question) -> Option:
    if cause.term is not None:
        return _requirement_option(cause.requirement, cause.term, candidate, question)
    key, (value,) = cause.requirement.key, cause.requirement.values
    actual = candidate.node.labels.get(key)
    near_key = similar(key, candidate.node.labels) if actual is None else None
    if near_key is not None and candidate.node.labels[near_key] == value:
        return Option(change=ChangeSelector(key=key, value=value, new=(near_key, value)), cost=TYPO)
    if actual is None:
        return Option(change=ChangeSelector(key=key, value=value, new=None), cost=REMOVAL)
    cost = _value_cost(cause.requirement, actual, question)
    return Option(change=ChangeSelector(key=key, value=value, new=(key, actual)), cost=cost)


def _requirement_option(requirement: Requirement, term: int, candidate: Candidate, question: Question) -> Option:
    actual = label_of(candidate.node, requirement.key)
    if requirement.key == NODE_NAME:
        return Option(change=ChangeAffinity(term=term, requirement=requirement, new=None), cost=UNUSUAL)
    if actual is None or requirement.operator != "In":
        return Option(change=ChangeAffinity(term=term, requirement=requirement, new=None), cost=REMOVAL)
    is_typo = requirement in question.hopeless
    values = (actual,) if is_typo and len(requirement.values) == 1 else (*requirement.values, actual)
    new = msgspec.structs.replace(requirement, values=values)
    cost = _value_cost(requirement, actual, question)
    return Option(change=ChangeAffinity(term=term, requirement=requirement, new=new), cost=cost)


def _value_cost(requirement: Requirement, actual: str, question: Question) -> float:
    """If no Node has the required value, it is probably a typing error for the most similar value that a Node has."""
    return TYPO if question.hopeless.get(requirement) == actual else OTHER


def _shortage_options(
    kind: CauseKind, short: Insufficient, candidate: Candidate, question: Question
) -> Iterator[Option]:
    node, name = candidate.node, short.resource
    match kind:
        case CauseKind.NOT_OFFERED:
            yield from _other_resource(name, candidate, question)
            return
        case CauseKind.NOT_REGISTERED:
            if name == GPU and short.requested <= (describe_node(node).gpus or short.requested):
                yield Option(change=RepairDevices(node=node.name, resource=name, amount=short.requested), cost=REPAIR)
            return
        case CauseKind.NO_GPU | CauseKind.NOT_LABELLED:
            return
        case CauseKind.UNHEALTHY:
            (capacity,) = capacities(name, [node])
            yield Option(change=RepairDevices(node=node.name, resource=name, amount=capacity), cost=REPAIR)
    missing = short.requested - (short.allocatable - short.used)
    if short.requested <= short.allocatable:
        cost = FREE + 0.5 * float(missing / short.allocatable)
        yield Option(change=FreeResource(node=node.name, resource=name, amount=missing), cost=cost)
    yield from _smaller_request(short)


def _smaller_request(short: Insufficient) -> Iterator[Option]:
    amount = largest_request(short.allocatable, short.used, is_whole=is_counted_in_devices(short.resource))
    if short.resource != PODS and amount > 0:
        cost = LESS - 0.5 * float(amount / short.requested)
        yield Option(change=RequestLess(resource=short.resource, amount=amount), cost=cost)


def _other_resource(resource: str, candidate: Candidate, question: Question) -> Iterator[Option]:
    offered = offered_resources(candidate.node)
    near = nearest_resource(resource, offered)
    for name in [near] if near is not None else offered:
        if question.requests[resource] <= allocatable_of(candidate.node, name):
            cost = TYPO if name == near and resource in question.unknown else OTHER
            yield Option(change=RequestOther(resource=resource, new=name), cost=cost)
