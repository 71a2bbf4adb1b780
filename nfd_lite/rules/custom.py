"""nfd-worker's custom rules: two built-in rules, the rules of the config file, and the rules of drop-in files.

Custom rules have a short form that NodeFeatureRule objects do not have. A drop-in file is a YAML list of rules, or NodeFeatureRule
documents.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from nfd_lite.rules.decode import decode_rule_sets, decode_rules
from nfd_lite.rules.evaluate import EvaluationContext, combine_steps, run_rules
from nfd_lite.rules.model import Expression, Op, Outcome, Rule, RuleSet, Term
from node_core.decode import Cursor, parse_documents
from node_core.domain.label_declaration import LabelDeclaration
from node_core.errors import SettingsError

CONFIG_KEY = "sources.custom"
_EXISTS = Expression(op=Op.EXISTS)

BUILT_IN_RULES = RuleSet(
    name="built-in",
    rules=(
        Rule(
            name="rdma.capable",
            labels={"rdma.capable": "true"},
            match_features=(
                Term(feature="pci.device", match_expressions={"vendor": Expression(op=Op.IN, value=("15b3",))}),
            ),
        ),
        Rule(
            name="rdma.available",
            labels={"rdma.available": "true"},
            match_features=(
                Term(feature="kernel.loadedmodule", match_expressions={"ib_uverbs": _EXISTS, "rdma_ucm": _EXISTS}),
            ),
        ),
    ),
)
"""Rules for Mellanox PCI devices and for the kernel modules of RDMA."""
DECLARED = (
    LabelDeclaration(
        key="rdma.capable",
        value="`true`",
        source="a built-in rule: /sys/bus/pci/devices/*/vendor",
        presence="with a PCI device of Mellanox",
    ),
    LabelDeclaration(
        key="rdma.available",
        value="`true`",
        source="a built-in rule: /proc/modules",
        presence="if the kernel modules ib_uverbs and rdma_ucm are loaded",
    ),
)
"""The labels of the built-in rules."""


def evaluate_custom_rules(sets: Iterable[RuleSet], context: EvaluationContext) -> Outcome:
    """Evaluates the built-in rules and then the given sets, in order. Custom rules have a `rule.matched` feature of their own."""
    return combine_steps(run_rules((BUILT_IN_RULES, *sets), context))


def decode_custom_rules(data: Any, name: str = CONFIG_KEY) -> RuleSet:
    """Decodes a list of rules in nfd-worker's format. Raises SettingsError if the data is not a list."""
    cursor = Cursor(value=data, path=name if name == CONFIG_KEY else "rules", lenient=True)
    rules = decode_rules(cursor.items())
    if cursor.problems:
        raise SettingsError([f"{name}: {note}" for note in cursor.problems])
    return RuleSet(name=name, rules=rules)


class RuleFile(msgspec.Struct, frozen=True, kw_only=True):
    """is_custom: the file is a list of custom rules; otherwise NodeFeatureRule documents."""

    sets: tuple[RuleSet, ...]
    is_custom: bool


def parse_rule_file(text: str, source: str) -> RuleFile:
    """Parses a file with custom rules or with NodeFeatureRule documents. Raises SettingsError."""
    documents = parse_documents(text, source, as_kubectl=True)
    if any(isinstance(document, list) for document in documents):
        return RuleFile(sets=tuple(decode_custom_rules(document, source) for document in documents), is_custom=True)
    return RuleFile(sets=decode_rule_sets(documents, source), is_custom=False)
