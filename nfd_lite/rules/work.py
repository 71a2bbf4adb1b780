"""How much work rules may ask of a node in one look: counted in steps, not by the clock, so that every node decides alike.

A step is an expression on one element, what a template counts as one, or as much of anything else as takes about as long. Expressions
are counted before they are evaluated, by what they would look at; a template after it, as it has a bound of its own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nfd_lite.rules.expression import RuleError
from nfd_lite.rules.match import Found, find_feature
from nfd_lite.rules.model import Expression, Op, Rule, Term
from node_core.domain.features import Attributes, Features

CHARGE = 32
"""So many characters, or list entries, that are looked through take a step."""
OUTPUT = 8
"""Steps of making a label, or any other output, fit for Kubernetes."""


class WorkError(RuleError):
    """This rule is not evaluated any more, and no rule after it that draws on the same bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """steps: of all rules in one look. of_one: of the rules of one object, so that it does not take all others' along."""

    steps: int = 3_000_000
    of_one: int = 1_000_000


class Work:
    """The work of one look. For one thread."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound
        self._left, self._left_of_one = bound.steps, bound.of_one

    def begin(self) -> None:
        """The rules that follow are another object's."""
        self._left_of_one = self._bound.of_one

    @property
    def is_done(self) -> bool:
        """Whether there is none left for the rules that come now."""
        return self._left < 0 or self._left_of_one < 0

    def spend(self, steps: int) -> None:
        """Raises WorkError."""
        self._left -= steps
        self._left_of_one -= steps
        if self._left < 0:
            raise WorkError(f"all rules together take more than {self._bound.steps} steps; {_KEEPS}")
        if self._left_of_one < 0:
            raise WorkError(f"the rules of this object take more than {self._bound.of_one} steps; {_KEEPS}")


_KEEPS = "this rule and those after it keep what they made before"


def matching_steps(rule: Rule, features: Features) -> int:
    """What it takes to match a rule, at most."""
    groups = (rule.match_features, *rule.match_any)
    return 1 + sum(_term_steps(term, find_feature(features, term.feature)) for group in groups for term in group)


def text_steps(*texts: str) -> int:
    return sum(map(len, texts)) // CHARGE


def _term_steps(term: Term, found: Found) -> int:
    if not found.exists:
        return 1
    instances = found.instances or ()
    names = len(found.flags or ()) + len(found.attributes or ()) + sum(map(len, instances))
    expressions = (term.match_expressions or {}).values()
    on_elements = sum(map(_steps, expressions)) * (1 + len(instances) + _surplus(found))
    on_names = 0 if term.match_name is None else _steps(term.match_name) * names
    return 1 + on_elements + on_names


def _steps(expression: Expression) -> int:
    """On one value that is not long."""
    if expression.op == Op.IN_REGEXP:
        return len(expression.value) + text_steps(*expression.value)
    return 1 + len(expression.value) // CHARGE


def _surplus(found: Found) -> int:
    """How many steps more it takes to look through all values because some of them are long."""
    return sum(len(value) // CHARGE for value in _values(found) if len(value) > CHARGE)


def _values(found: Found) -> Iterator[str]:
    maps: tuple[Mapping[str, str] | Attributes, ...] = (found.attributes or {}, *(found.instances or ()))
    return (value for each in maps for value in each.values())
