"""Changes as sentences and as YAML. PURE."""

from collections.abc import Mapping
from typing import Any

import msgspec
import yaml

from gpunode.why.amounts import render_amount
from gpunode.why.causes import Candidate, render_requirement, render_taint
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
)
from gpunode.why.explanation import Step
from gpunode.why.resources import capacities, render_holders
from node_core.scheduling.filters import NOT_READY


def render_step(change: Change, candidates: Mapping[str, Candidate]) -> Step:
    """candidates: the Nodes by name."""
    match change:
        case ChangeSelector():
            return _selector_step(change)
        case ChangeAffinity():
            return _affinity_step(change)
        case AddToleration():
            return Step(text="Add this toleration:", yaml=_toleration_yaml(change))
        case RequestLess(resource=resource, amount=amount):
            return Step(text=f"Request at most {render_amount(resource, amount)} {resource}.")
        case RequestOther(resource=resource, new=new):
            return Step(text=f"Request {new} in place of {resource}.")
    return Step(text=_node_text(change, candidates), changes_pod=False)


def _node_text(change: Change, candidates: Mapping[str, Candidate]) -> str:
    match change:
        case Uncordon(node=node):
            return f"Uncordon the node: kubectl uncordon {node}"
        case FreeResource(node=node, resource=resource):
            amount = render_amount(resource, change.amount)
            holders = render_holders(candidates[node], resource)
            return f"Wait until pods on {node} release {amount} {resource}, or delete pods there{holders and f': {holders}'}."
        case RepairDevices(node=node, resource=resource):
            (capacity,) = capacities(resource, [candidates[node].node])
            what = f"Repair the unhealthy devices of {node}" if capacity else f"Make {node} offer its {resource}"
            return f"{what}: gpunode doctor --node {node}"
        case RepairNode(node=node, taint=taint) if taint == NOT_READY:
            return f"Repair {node}, which is not ready: kubectl describe node {node}"
        case RepairNode(node=node, taint=taint):
            return f"Repair {node}, so that its taint {render_taint(taint)} ends: kubectl describe node {node}"
    raise TypeError(change)


def _selector_step(change: ChangeSelector) -> Step:
    if change.new is None:
        return Step(text=f"Remove {change.key}: {change.value} from nodeSelector.")
    key, value = change.new
    text = f"In nodeSelector, change {change.key} from {change.value} to {value}:"
    if key != change.key:
        text = f"In nodeSelector, change the label {change.key} to {key}:"
    return Step(text=text, yaml=_dump({"nodeSelector": {key: value}}))


def _affinity_step(change: ChangeAffinity) -> Step:
    old = render_requirement(change.requirement)
    if change.new is None:
        return Step(text=f"Remove the requirement {old} from the node affinity.")
    text = f"In the node affinity, replace {old} by {render_requirement(change.new)}:"
    return Step(text=text, yaml=_dump({"matchExpressions": [msgspec.to_builtins(change.new)]}))


def _toleration_yaml(change: AddToleration) -> str:
    return _dump({"tolerations": [msgspec.to_builtins(change.toleration)]})


def _dump(content: dict[str, Any]) -> str:
    text: str = yaml.safe_dump(content, sort_keys=False, default_flow_style=False)
    return text.rstrip("\n")
