"""Node selectors and affinities that would prevent the start of an agent, because the agent itself publishes the label. PURE.

The chart refuses them (templates/_check.tpl).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from gpunode.migrate.draft import Draft
from node_core.decode import value_at

PUBLISHED = re.compile(r"^(nvidia\.com|feature\.node\.kubernetes\.io)/")
"""Labels of the three agents."""
OF_GFD = re.compile(
    r"^nvidia\.com/(?!(gpu\.present|gpu\.deploy\..*|gpu\.workload\.config|device-plugin\.config|mig\.config(\..*)?)$)"
)
"""Labels of gfd: all of NVIDIA's except those that others set."""
PCI = re.compile(r"^feature\.node\.kubernetes\.io/pci-[0-9a-f]{4}\.")
"""Labels that nfd-lite publishes only with deviceLabelFields: [vendor]."""
TERMS = "nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
FIELDS = "sources.pci.deviceLabelFields"
NEVER = "Requires the label {}, which the agent itself publishes, so the agent would never start on a new Node."
MOVE = " To select nodes for gpu-device-plugin only, set `devicePlugin.nodeSelector`."
VENDOR = "Needs the label {}, which nfd-lite publishes only with `nfd.config.sources.pci.deviceLabelFields: [vendor]`."


def correct_selectors(draft: Draft) -> None:
    """Moves or removes what would prevent the start of an agent, and adds the labels that the selectors need."""
    if draft.get("nfd.enabled") is not False:
        _remove_required(draft, ("nfd.nodeSelector", "nfd.affinity"), PUBLISHED, "")
        _publish_vendor(draft)
    if draft.get("gfd.enabled") is not False:
        _move_selector(draft)
        _remove_required(draft, ("gfd.nodeSelector", "affinity"), OF_GFD, MOVE)


def required_label(value: Any, pattern: re.Pattern[str]) -> str | None:
    """Returns a label that a node selector, or each term of an affinity, requires and that matches the pattern, or None."""
    if not isinstance(value, Mapping):
        return None
    if not isinstance(terms := value_at(value, TERMS), list):
        return next((key for key in value if isinstance(key, str) and pattern.match(key)), None)
    labels = [_label_of(each, pattern) for each in terms]
    return labels[0] if labels and all(labels) else None


def _label_of(term: Any, pattern: re.Pattern[str]) -> str | None:
    expressions = term.get("matchExpressions") if isinstance(term, Mapping) else None
    for each in expressions if isinstance(expressions, Iterable) else ():
        if isinstance(each, Mapping) and each.get("operator") in ("In", "Exists", "Gt", "Lt"):
            key = each.get("key")
            if isinstance(key, str) and pattern.match(key):
                return key
    return None


def _remove_required(draft: Draft, paths: Iterable[str], pattern: re.Pattern[str], more: str) -> None:
    for path in paths:
        if (label := required_label(draft.get(path), pattern)) is not None and (found := draft.take(path)) is not None:
            for origin in found.origins:
                draft.advise(origin, NEVER.format(label) + more)


def _move_selector(draft: Draft) -> None:
    """Labels of gfd can select the nodes of gpu-device-plugin only."""
    if (found := draft.values.get("nodeSelector")) is None:
        return
    moved = {key: value for key, value in found.value.items() if OF_GFD.match(key)}
    if not moved:
        return
    draft.take("nodeSelector")
    if rest := {key: value for key, value in found.value.items() if key not in moved}:
        draft.put("nodeSelector", rest, *found.origins)
    draft.add("devicePlugin.nodeSelector", moved, *found.origins)


def _publish_vendor(draft: Draft) -> None:
    """The Node Feature Discovery of NVIDIA's charts publishes these labels by default."""
    for path in ("nodeSelector", "affinity"):
        if (label := required_label(draft.get(path), PCI)) is None:
            continue
        config = draft.get("nfd.config") or {}
        fields = value_at(config, FIELDS)
        if fields is None:
            draft.add(
                "nfd.config", {"sources": {"pci": {"deviceLabelFields": ["vendor"]}}}, f"{path} needs the label {label}"
            )
        elif fields != ["vendor"]:
            for origin in draft.values.pop(path).origins:
                draft.advise(origin, VENDOR.format(label))
