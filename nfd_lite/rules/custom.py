"""nfd-worker's custom rules: two that are always there, those of its config file, and those of drop-in files.

They may be written shorter than in NodeFeatureRule objects. A drop-in is a YAML list of rules, or NodeFeatureRule documents.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nfd_lite.rules.decode import decode_rule_sets, decode_rules
from nfd_lite.rules.documents import parse_documents
from nfd_lite.rules.evaluate import Look, gather, run_rules
from nfd_lite.rules.model import Expression, Op, Outcome, Rule, RuleSet, Term
from nfd_lite.rules.outputs import OutputPolicy
from nfd_lite.rules.spot import Spot
from node_core.domain.features import Features
from node_core.errors import SettingsError

CONFIG_KEY = "sources.custom"
_EXISTS = Expression(op=Op.EXISTS)

STATIC = RuleSet(
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
"""Mellanox devices on PCI, and the kernel modules that make them usable."""


def custom_labels(
    sets: Iterable[RuleSet],
    features: Features,
    policy: OutputPolicy | None = None,
    before: Outcome | None = None,
    unsure: frozenset[str] = frozenset(),
) -> Outcome:
    """What custom rules make, in the order given: the built-in, those of the config file, drop-ins. `rule.matched` is their own."""
    look = Look(features=features, policy=policy or OutputPolicy(), before=before, unsure=unsure)
    return gather(run_rules((STATIC, *sets), look))


def decode_custom_rules(data: Any, name: str = CONFIG_KEY) -> RuleSet:
    """A list of rules as nfd-worker takes it. Raises SettingsError when it is no list."""
    spot = Spot(value=data, path=name if name == CONFIG_KEY else "rules", lenient=True)
    rules = decode_rules(spot.items())
    if spot.notes:
        raise SettingsError([f"{name}: {note}" for note in spot.notes])
    return RuleSet(name=name, rules=rules)


def parse_rule_file(text: str, source: str) -> "RuleFile":
    """A file of rules in either form. Raises SettingsError."""
    documents = parse_documents(text, source)
    if any(isinstance(document, list) for document in documents):
        return RuleFile(sets=tuple(decode_custom_rules(document, source) for document in documents), is_custom=True)
    return RuleFile(sets=decode_rule_sets(documents, source), is_custom=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFile:
    """is_custom: it is a list of nfd-worker's custom rules, not NodeFeatureRule objects."""

    sets: tuple[RuleSet, ...]
    is_custom: bool
