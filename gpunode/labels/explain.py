"""Explains one key for `gpunode labels KEY`: the label and its source, or why the label is missing."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gpunode.labels.agents import Agents
from gpunode.labels.gfd_reasons import find_gfd_reasons
from gpunode.labels.nfd_reasons import find_nfd_reasons, find_template_reasons
from gpunode.labels.published import Label, find_declaration, list_declared_keys
from gpunode.labels.reason import Reason
from gpunode.labels.rule_views import RuleView
from nfd_lite.label_keys import PREFIX, qualify_keys
from node_core.domain.label_declaration import LabelDeclaration

UNKNOWN = Reason(agent="gpunode", why="no agent sets this label, and no rule names this label")
NEAREST = 3
"""Maximum number of similar keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """labels: the published labels with this key, at most one for each agent. declared: the documentation of the label, if there is any.

    reasons: if the label is not published. nearest: similar keys, for a key that nothing declares.
    """

    key: str
    labels: tuple[Label, ...] = ()
    declared: LabelDeclaration | None = None
    reasons: tuple[Reason, ...] = ()
    nearest: tuple[str, ...] = ()


def explain_key(key: str, agents: Agents, rules: Sequence[RuleView], labels: Sequence[Label]) -> Explanation:
    """Explains a full key, or a name without the usual prefix. rules, labels: all rules, and all published labels."""
    known = [*(each.key for each in labels), *_rule_keys(rules), *list_declared_keys()]
    key = complete_key(key, known)
    found = tuple(each for each in labels if each.key == key)
    declaration = find_declaration(key)
    declared = None if declaration is None else declaration[1]
    if found:
        return Explanation(key=key, labels=found, declared=declared)
    reasons = (*find_nfd_reasons(key, agents, rules), *find_gfd_reasons(key, agents))
    is_open = declared is None or "<" in declared.key
    nearest = find_nearest(key, known) if is_open else ()
    reasons = reasons or (UNKNOWN, *find_template_reasons(rules))
    return Explanation(key=key, declared=declared, reasons=reasons, nearest=nearest)


def complete_key(key: str, known: Iterable[str]) -> str:
    """Adds the prefix to a name without a prefix, if a label with this prefix is known or declared."""
    if "/" in key:
        return key
    others = sorted({each.rpartition("/")[0] for each in known if each.rpartition("/")[2] == key})
    candidates = [f"{prefix}/{key}" for prefix in others] + [f"{PREFIX}{key}", f"nvidia.com/{key}"]
    return next((each for each in candidates if each in known or find_declaration(each)), key)


def find_nearest(key: str, known: Iterable[str]) -> tuple[str, ...]:
    """Returns the known keys with the most similar names after the prefix, the most similar first."""
    names = {each.rpartition("/")[2].lower(): each for each in known if each != key}
    close = difflib.get_close_matches(key.rpartition("/")[2].lower(), names, n=NEAREST)
    return tuple(names[name] for name in close)


def _rule_keys(rules: Iterable[RuleView]) -> list[str]:
    return [key for view in rules for key in (*qualify_keys(view.rule.labels), *view.trace.outputs.labels)]
