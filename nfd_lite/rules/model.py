"""What a rule says and what rules make of a node, as frozen values. Source: NFD's CRD NodeFeatureRule, nfd.k8s-sigs.io/v1alpha1."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from node_core.domain.features import Attributes
from node_core.domain.labels import Labels
from node_core.domain.taints import Taint


class Op(StrEnum):
    """Operators of an expression. ALWAYS is only reachable from nfd-worker's custom rules, where it is the empty text."""

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
    """How Gt and its kin read values: as integers, or as loose semantic versions."""

    PLAIN = ""
    VERSION = "version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    op: Op
    value: tuple[str, ...] = ()
    type: ValueType = ValueType.PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """feature: `<domain>.<feature>` as the rule writes it; templates see it in that spelling, matching ignores case.

    match_expressions: element -> expression; None where the rule has none, which is not the same as an empty one.
    """

    feature: str
    match_expressions: Mapping[str, Expression] | None = None
    match_name: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """match_features: all of them have to match. match_any: one of these groups has to match; no group asks nothing.

    problems: why the rule cannot be evaluated on any node, one sentence each with its path; such a rule has nothing but its name.
    """

    name: str
    labels: Labels = field(default_factory=dict)
    labels_template: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    vars: Attributes = field(default_factory=dict)
    vars_template: str = ""
    taints: tuple[Taint, ...] = ()
    extended_resources: Mapping[str, str] = field(default_factory=dict)
    match_features: tuple[Term, ...] = ()
    match_any: tuple[tuple[Term, ...], ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """The rules of one object or file, in order. name: metadata.name, or the path of a file."""

    name: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleProblem:
    """Something that a rule's author has to know. set_name, rule: where. key: of the output that was left out.

    key None: the rule itself failed and made nothing. why: a sentence.
    """

    set_name: str
    rule: str
    why: str
    key: str | None = None


RuleId = tuple[str, str]
"""Name of the set and of the rule. The second of two rules of one name in one set is called `name (2)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What one rule gave. Outputs are full, resolved and valid.

    vars: its variables. matched: its labels and variables as it wrote them, which later rules see as `rule.matched`.
    """

    labels: Labels = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    extended_resources: Mapping[str, str] = field(default_factory=dict)
    vars: Attributes = field(default_factory=dict)
    matched: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What all rules together ask for. Keys are full, values are resolved and valid: Kubernetes takes every one of them.

    extended_resources: quantities as text in canonical form. taints: at most one for each key and effect. problems: in rule order.
    made: what each rule gave that could be evaluated; of one that failed, what it gave before, where that is known. unsure: the rules that
    ask for features which cannot be read just now; they keep what they gave, too.
    """

    labels: Labels = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    extended_resources: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[RuleProblem, ...] = ()
    made: Mapping[RuleId, Made] = field(default_factory=dict)
    unsure: frozenset[RuleId] = frozenset()

    @property
    def failed(self) -> frozenset[RuleId]:
        """Set and name of the rules that could not be evaluated. What they made before is kept: an error takes nothing away."""
        return frozenset((each.set_name, each.rule) for each in self.problems if each.key is None)

    @property
    def incomplete(self) -> bool:
        """Whether there is a rule of which nobody knows what it makes or made: then whatever is published may be its, and stays."""
        return not (self.failed | self.unsure) <= self.made.keys()
