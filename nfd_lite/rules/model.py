"""Rules and the outcome of their evaluation, as frozen values. Source: NFD's CRD NodeFeatureRule, nfd.k8s-sigs.io/v1alpha1."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import msgspec

from node_core.domain.features import Attributes
from node_core.domain.labels import Labels
from node_core.domain.taints import Taint


class Op(StrEnum):
    """Operators of an expression. Only nfd-worker's custom rules can contain ALWAYS, as the empty text."""

    ALWAYS = ""
    IN = "In"
    NOT_IN = "NotIn"
    IN_REGEXP = "InRegexp"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"
    GT = "Gt"
    GE = "Ge"
    LT = "Lt"
    LE = "Le"
    GT_LT = "GtLt"
    GE_LE = "GeLe"
    IS_TRUE = "IsTrue"
    IS_FALSE = "IsFalse"


class ValueType(StrEnum):
    """How the ordering operators (Gt, Ge, Lt, Le, GtLt, GeLe) parse values: as integers, or as loose semantic versions."""

    PLAIN = ""
    VERSION = "version"


class Expression(msgspec.Struct, frozen=True, kw_only=True):
    """type: a ValueType, or another text, which only the ordering operators refuse."""

    op: Op
    value: tuple[str, ...] = ()
    type: str = ValueType.PLAIN


class Term(msgspec.Struct, frozen=True, kw_only=True):
    """One condition on one feature.

    feature: `<domain>.<feature>` in the spelling of the rule, which templates use; matching is case-insensitive.
    match_expressions: element -> expression; None if the rule has no such field, which differs from an empty map.
    """

    feature: str
    match_expressions: Mapping[str, Expression] | None = None
    match_name: Expression | None = None


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule of a NodeFeatureRule or of a file with custom rules.

    match_features: all terms must match. match_any: at least one group must match, unless there are no groups.
    problems: why the rule cannot be evaluated on any node, one sentence each with the path of the field. A rule with problems has no
    conditions. latent_problems: why the rule cannot be evaluated on nodes that have a certain value. warnings: which parts have no effect.
    """

    name: str
    labels: Labels = msgspec.field(default_factory=dict)
    labels_template: str = ""
    annotations: Mapping[str, str] = msgspec.field(default_factory=dict)
    vars: Attributes = msgspec.field(default_factory=dict)
    vars_template: str = ""
    taints: tuple[Taint, ...] = ()
    extended_resources: Mapping[str, str] = msgspec.field(default_factory=dict)
    match_features: tuple[Term, ...] = ()
    match_any: tuple[tuple[Term, ...], ...] = ()
    problems: tuple[str, ...] = ()
    latent_problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def terms(self) -> Iterator[Term]:
        """All terms."""
        return (term for group in (self.match_features, *self.match_any) for term in group)


class RuleSet(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of one object or file, in order. name: metadata.name of the object, or the path of the file."""

    name: str
    rules: tuple[Rule, ...]


class RuleProblem(msgspec.Struct, frozen=True, kw_only=True):
    """A problem for the author of a rule.

    set_name, rule: the location of the problem. key: the key of the refused output; None if the problem is about the whole rule. why: a
    sentence. is_warning: the rule could be evaluated.
    """

    set_name: str
    rule: str
    why: str
    key: str | None = None
    is_warning: bool = False

    @property
    def is_failure(self) -> bool:
        """Whether the rule could not be evaluated."""
        return self.key is None and not self.is_warning


class RuleId(NamedTuple):
    """Identifies a rule. ordinal: number, from 1, among the rules with the same name in the same set."""

    set_name: str
    name: str
    ordinal: int = 1

    @property
    def shown(self) -> str:
        """The name in messages: the second rule with the same name in a set is `name (2)`."""
        return self.name if self.ordinal == 1 else f"{self.name} ({self.ordinal})"


class RuleOutputs(msgspec.Struct, frozen=True, kw_only=True):
    """The outputs of one rule, with full keys and with resolved, valid values.

    matched: the labels and variables as the rule writes them. Later rules see them as the feature `rule.matched`.
    """

    labels: Labels = msgspec.field(default_factory=dict)
    annotations: Mapping[str, str] = msgspec.field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    extended_resources: Mapping[str, str] = msgspec.field(default_factory=dict)
    vars: Attributes = msgspec.field(default_factory=dict)
    matched: Attributes = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The combined outputs of all rules, with full keys and with resolved values that are valid in Kubernetes.

    extended_resources: quantities in canonical form. taints: at most one for each key and effect. problems: in rule order.
    outputs: the outputs of each rule; for a rule that was not evaluated, its previous outputs if they are known. failed: the rules whose
    evaluation failed. deferred: the rules that depend on a feature that cannot be read, or that exceed the work budget; their
    evaluation is deferred. rules: all rules by id.
    """

    labels: Labels = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    extended_resources: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[RuleProblem, ...] = ()
    outputs: Mapping[RuleId, RuleOutputs] = field(default_factory=dict)
    failed: frozenset[RuleId] = frozenset()
    deferred: frozenset[RuleId] = frozenset()
    rules: Mapping[RuleId, Rule] = field(default_factory=dict, compare=False)

    @property
    def unknown(self) -> Mapping[RuleId, Rule]:
        """The rules with unknown outputs: they were not evaluated, and this process does not know their previous outputs."""
        return {id_: rule for id_, rule in self.rules.items() if id_ not in self.outputs}
