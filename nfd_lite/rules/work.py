"""Limits the work that rules cause in one evaluation. The work is counted in steps and not by the clock, so the result is reproducible.

A step is one expression on one element, one operation of a template, or other work of about the same duration. The steps of expressions
are estimated before the evaluation, from the size of the features. The steps of a template are counted after each run, because a
template has its own limit.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property

import msgspec

from nfd_lite.rules.expression import VALUELESS, RuleError
from nfd_lite.rules.match import FeatureValues, find_feature
from nfd_lite.rules.model import Expression, Op, Rule, Term
from node_core.domain.features import Attributes, Features

CHARACTERS_PER_STEP = 32
"""Characters, or list entries, that are compared in one step."""
STEPS_PER_OUTPUT = 8
"""Steps for the validation of one output."""


class WorkError(RuleError):
    """The work budget is exceeded: this rule and all later rules of the same budget are not evaluated."""


class WorkLimits(msgspec.Struct, frozen=True, kw_only=True):
    """total: maximum steps of all rules in one evaluation. per_object: maximum steps of the rules of one object."""

    total: int = 3_000_000
    per_object: int = 1_000_000


class WorkBudget:
    """The steps that are left in one evaluation. Not thread-safe."""

    def __init__(self, limits: WorkLimits) -> None:
        self._limits = limits
        self._total, self._object = limits.total, limits.per_object
        self._sizes: dict[str, FeatureSize] = {}

    def start_object(self) -> None:
        """Resets the budget of one object, before the rules of the next object."""
        self._object = self._limits.per_object

    @property
    def is_exhausted(self) -> bool:
        return self._total < 0 or self._object < 0

    def spend(self, steps: int) -> None:
        """Raises WorkError."""
        self._total -= steps
        self._object -= steps
        if self._total < 0:
            raise WorkError(f"all rules together need more than {self._limits.total} steps; {_EFFECT}")
        if self._object < 0:
            raise WorkError(f"the rules of this object need more than {self._limits.per_object} steps; {_EFFECT}")

    def size(self, features: Features, name: str) -> "FeatureSize":
        """Returns the size of a feature. name: case-insensitive. The size is cached until the feature changes, as rule.matched does."""
        values, known = find_feature(features, name), self._sizes.get(name.lower())
        if known is None or not known.is_of(values):
            known = self._sizes[name.lower()] = FeatureSize(values)
        return known


class FeatureSize:
    """The size of a feature, computed at the first use."""

    def __init__(self, values: FeatureValues) -> None:
        self.exists = values.exists
        self.instances = len(values.instances or ())
        self._values = values

    def is_of(self, other: FeatureValues) -> bool:
        values = self._values
        return (
            values.flags is other.flags
            and values.attributes is other.attributes
            and values.instances is other.instances
        )

    @cached_property
    def names(self) -> int:
        values = self._values
        return len(values.flags or ()) + len(values.attributes or ()) + sum(map(len, values.instances or ()))

    @cached_property
    def extra_steps(self) -> int:
        """Additional steps to compare the long values among all values."""
        return sum(len(value) // CHARACTERS_PER_STEP for value in _texts(self._values))


_EFFECT = "this rule and the rules after it retain their previous outputs"


def matching_steps(rule: Rule, features: Features, budget: WorkBudget) -> int:
    """Returns the maximum steps to match a rule."""
    return 1 + sum(_term_steps(term, budget.size(features, term.feature)) for term in rule.terms)


def text_steps(*texts: str) -> int:
    return sum(map(len, texts)) // CHARACTERS_PER_STEP


def _term_steps(term: Term, size: FeatureSize) -> int:
    if not size.exists:
        return 1
    expressions = (term.match_expressions or {}).values()
    on_elements = sum(map(_steps, expressions)) * (1 + size.instances)
    comparing = sum(_steps(each) for each in expressions if each.op not in VALUELESS)
    on_long_values = comparing * size.extra_steps if comparing else 0
    on_names = 0 if term.match_name is None else _steps(term.match_name) * size.names
    return 1 + on_elements + on_long_values + on_names


def _steps(expression: Expression) -> int:
    """Returns the steps of an expression on one short value."""
    if expression.op == Op.IN_REGEXP:
        return len(expression.value) + text_steps(*expression.value)
    return 1 + len(expression.value) // CHARACTERS_PER_STEP


def _texts(values: FeatureValues) -> Iterator[str]:
    maps: tuple[Mapping[str, str] | Attributes, ...] = (values.attributes or {}, *(values.instances or ()))
    return (text for each in maps for text in each.values())
