"""nodeSelector and required node affinity. PURE. Source: Kubernetes documentation, Assigning Pods to Nodes."""

from collections.abc import Mapping
from typing import Any

Obj = Mapping[str, Any]


def matches_required(pod: Obj, node: Obj) -> bool:
    """Whether the node has all that nodeSelector names and matches one of the required affinity's terms, if there are any."""
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (pod["spec"].get("nodeSelector") or {}).items()):
        return False
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(
        _matches_term(term, node, labels) for term in required.get("nodeSelectorTerms") or ()
    )


def _matches_term(term: Obj, node: Obj, labels: Mapping[str, str]) -> bool:
    """A term without expressions matches nothing."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    name = {"metadata.name": node["metadata"]["name"]}
    return bool(expressions or fields) and (
        all(_matches(need, labels) for need in expressions) and all(_matches(need, name) for need in fields)
    )


def _matches(need: Obj, labels: Mapping[str, str]) -> bool:
    value, operator, values = labels.get(need.get("key", "")), need.get("operator"), need.get("values") or ()
    if operator in ("Exists", "DoesNotExist"):
        return (value is not None) is (operator == "Exists")
    if operator in ("In", "NotIn"):
        return (value in values) is (operator == "In")
    return operator in ("Gt", "Lt") and _compares(value, operator, values)


def _compares(value: str | None, operator: str, values: Any) -> bool:
    """Integers only: anything else, on either side, matches nothing."""
    try:
        have, wanted = int(value or ""), int(values[0])
    except (ValueError, TypeError, IndexError):
        return False
    return have > wanted if operator == "Gt" else have < wanted
