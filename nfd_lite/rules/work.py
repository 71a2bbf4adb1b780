"""How much work rules may ask of a node in one look: counted in steps, not by the clock, so that every node decides alike.

A step is an expression on one element, what a template counts as one, or as much of anything else as takes about as long. Expressions
are counted before they are evaluated, by what they would look at; a template after it, as it has a bound of its own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

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
        self._sizes: dict[str, Size] = {}

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

    def size(self, features: Features, name: str) -> "Size":
        """Of a feature by its name in any case. It is looked through once, until it is replaced: rules write features too."""
        found, known = find_feature(features, name), self._sizes.get(name.lower())
        if known is None or not known.is_of(found):
            known = self._sizes[name.lower()] = Size(found)
        return known


class Size:
    """How much there is of a feature to look through; counted when it is first asked for."""

    def __init__(self, found: Found) -> None:
        self.exists = found.exists
        self.instances = len(found.instances or ())
        self._found = found

    def is_of(self, found: Found) -> bool:
        mine = self._found
        return mine.flags is found.flags and mine.attributes is found.attributes and mine.instances is found.instances

    @cached_property
    def names(self) -> int:
        found = self._found
        return len(found.flags or ()) + len(found.attributes or ()) + sum(map(len, found.instances or ()))

    @cached_property
    def surplus(self) -> int:
        """How many steps more it takes to look through all values because some of them are long."""
        return sum(len(value) // CHARGE for value in _values(self._found) if len(value) > CHARGE)


_KEEPS = "this rule and those after it keep what they made before"
_BLIND = (Op.ALWAYS, Op.EXISTS, Op.DOES_NOT_EXIST)
"""They look at no value."""


def matching_steps(rule: Rule, features: Features, work: Work) -> int:
    """What it takes to match a rule, at most."""
    groups = (rule.match_features, *rule.match_any)
    return 1 + sum(_term_steps(term, work.size(features, term.feature)) for group in groups for term in group)


def text_steps(*texts: str) -> int:
    return sum(map(len, texts)) // CHARGE


def _term_steps(term: Term, size: Size) -> int:
    if not size.exists:
        return 1
    expressions = (term.match_expressions or {}).values()
    on_elements = sum(map(_steps, expressions)) * (1 + size.instances)
    through = sum(_steps(each) for each in expressions if each.op not in _BLIND)
    on_long_values = through * size.surplus if through else 0
    on_names = 0 if term.match_name is None else _steps(term.match_name) * size.names
    return 1 + on_elements + on_long_values + on_names


def _steps(expression: Expression) -> int:
    """On one value that is not long."""
    if expression.op == Op.IN_REGEXP:
        return len(expression.value) + text_steps(*expression.value)
    return 1 + len(expression.value) // CHARGE


def _values(found: Found) -> Iterator[str]:
    maps: tuple[Mapping[str, str] | Attributes, ...] = (found.attributes or {}, *(found.instances or ()))
    return (value for each in maps for value in each.values())
