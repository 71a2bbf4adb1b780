"""NodeFeatureRule objects, from the API or from files. Source: NFD's CRD, nfd.k8s-sigs.io/v1alpha1.

What is wrong with one rule takes that rule away and no other: it stands in the set with its problems.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nfd_lite.rules.documents import parse_documents
from nfd_lite.rules.expand import compiled
from nfd_lite.rules.expression import expression_problem
from nfd_lite.rules.model import Expression, Op, Rule, RuleSet, Term, ValueType
from nfd_lite.rules.spot import Spot, is_text, suggest
from nfd_lite.rules.template import TemplateError
from node_core.domain.node_feature import API_VERSION
from node_core.domain.taints import Taint
from node_core.errors import SettingsError

KIND = "NodeFeatureRule"
_LISTS = ("List", f"{KIND}List")
_RULE = (
    *("name", "labels", "labelsTemplate", "annotations", "vars", "varsTemplate", "taints", "extendedResources"),
    *("matchFeatures", "matchAny"),
)
_OPS = tuple(op.value for op in Op if op)
MOST_PATTERNS = 500
"""Regular expressions in one object. Each may take some milliseconds to compile, and tells in no other way how long."""


def parse_rule_sets(text: str, source: str) -> tuple[RuleSet, ...]:
    """The objects of a YAML or JSON text. Raises SettingsError."""
    return decode_rule_sets(parse_documents(text, source), source)


def decode_rule_sets(documents: Iterable[Any], source: str) -> tuple[RuleSet, ...]:
    """Objects, and lists of them as `kubectl get -o yaml` prints them. Raises SettingsError with the problems of all."""
    sets: list[RuleSet] = []
    problems: list[str] = []
    for one in (one for document in documents for one in _objects(document)):
        try:
            sets.append(decode_rule_set(one, source))
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)
    return tuple(sets)


def _objects(document: Any) -> list[Any]:
    if isinstance(document, Mapping) and document.get("kind") in _LISTS and isinstance(document.get("items"), list):
        return list(document["items"])
    return [document]


def decode_rule_set(data: Any, source: str | None = None) -> RuleSet:
    """One object. Raises SettingsError with every problem of the object around its rules. source: before each, if not its name."""
    spot = Spot(value=data)
    fields = spot.record(
        ("apiVersion", "kind", "metadata", "spec"), required=("apiVersion", "kind", "metadata", "spec")
    )
    for key, wanted in (("apiVersion", API_VERSION), ("kind", KIND)):
        if key in fields and fields[key].text() != wanted:
            fields[key].note(f"expected {wanted}, got {str(fields[key].value)[:80]}")
    name = _metadata_name(fields["metadata"]) if "metadata" in fields else ""
    spec = fields["spec"].record(("rules",), required=("rules",)) if "spec" in fields else {}
    rules = list(spec["rules"].items()) if "rules" in spec else []
    if (patterns := _count_patterns(data)) > MOST_PATTERNS:
        spot.note(f"has {patterns} patterns, {MOST_PATTERNS} are allowed")
    if spot.notes:
        raise SettingsError([f"{source or name or KIND}: {note}" for note in spot.notes])
    return RuleSet(name=name, rules=decode_rules(rules))


def _count_patterns(data: Any) -> int:
    """Wherever in an object they stand, and however deep."""
    waiting, count = [data], 0
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            patterns = value.get("value") if value.get("op") == Op.IN_REGEXP else None
            count += len(patterns) if isinstance(patterns, list) else 0
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return count


def _metadata_name(spot: Spot) -> str:
    name = spot.mapping().get("name")
    if name is None:
        spot.below("name", None).note("is missing")
        return ""
    return name.text()


def decode_rules(spots: Iterable[Spot]) -> tuple[Rule, ...]:
    return tuple(map(decode_rule, spots))


def decode_rule(spot: Spot) -> Rule:
    """The rule, or one with nothing but its name and its problems."""
    own = Spot(value=spot.value, path=spot.path, lenient=spot.lenient)
    rule = _read_rule(own)
    return Rule(name=rule.name, problems=tuple(own.notes)) if own.notes else rule


def _read_rule(spot: Spot) -> Rule:
    fields = spot.record(_RULE, required=("name",))

    def get(key: str, read: Callable[[Spot], Any], otherwise: Any) -> Any:
        return read(fields[key]) if key in fields else otherwise

    return Rule(
        name=get("name", Spot.text, spot.path),
        labels=get("labels", Spot.text_map, {}),
        labels_template=get("labelsTemplate", _template, ""),
        annotations=get("annotations", Spot.text_map, {}),
        vars=get("vars", Spot.text_map, {}),
        vars_template=get("varsTemplate", _template, ""),
        taints=get("taints", _taints, ()),
        extended_resources=get("extendedResources", Spot.text_map, {}),
        match_features=get("matchFeatures", _terms, ()),
        match_any=get("matchAny", _groups, ()),
    )


def _template(spot: Spot) -> str:
    text = spot.text()
    try:
        compiled(text)
    except TemplateError as error:
        spot.note(str(error))
    return text


def _taints(spot: Spot) -> tuple[Taint, ...]:
    return tuple(map(_taint, spot.items()))


def _taint(spot: Spot) -> Taint:
    fields = spot.record(("key", "value", "effect", "timeAdded"), required=("key", "effect"))
    texts = {key: fields[key].text() for key in ("key", "value", "effect") if key in fields}
    return Taint(key=texts.get("key", ""), value=texts.get("value", ""), effect=texts.get("effect", ""))


def _groups(spot: Spot) -> tuple[tuple[Term, ...], ...]:
    records = [item.record(("matchFeatures",), required=("matchFeatures",)) for item in spot.items()]
    return tuple(_terms(record["matchFeatures"]) for record in records if "matchFeatures" in record)


def _terms(spot: Spot) -> tuple[Term, ...]:
    return tuple(map(_term, spot.items()))


def _term(spot: Spot) -> Term:
    fields = spot.record(("feature", "matchExpressions", "matchName"), required=("feature",))
    expressions, name = fields.get("matchExpressions"), fields.get("matchName")
    return Term(
        feature=fields["feature"].text() if "feature" in fields else "",
        match_expressions=None if expressions is None else _expressions(expressions),
        match_name=None if name is None else _expression(name),
    )


def _expressions(spot: Spot) -> dict[str, Expression]:
    if spot.lenient and isinstance(spot.value, list):
        return dict(map(_listed_expression, spot.items()))
    return {key: _expression(below) for key, below in spot.mapping().items()}


def _listed_expression(spot: Spot) -> tuple[str, Expression]:
    """nfd-worker's `key` and `key=value`."""
    key, equals, value = spot.text().partition("=")
    return key, Expression(op=Op.IN, value=(value,)) if equals else Expression(op=Op.EXISTS)


def _expression(spot: Spot) -> Expression:
    count = len(spot.notes)
    is_short = spot.lenient and not isinstance(spot.value, Mapping)
    expression = _short_expression(spot) if is_short else _full_expression(spot)
    problem = expression_problem(expression) if len(spot.notes) == count else None
    if problem is not None:
        spot.note(problem)
    return expression


def _short_expression(spot: Spot) -> Expression:
    """nfd-worker's values without an operator: one of them has to be there, or the element with any value."""
    return Expression(op=Op.EXISTS) if spot.value is None else Expression(op=Op.IN, value=_values(spot))


def _full_expression(spot: Spot) -> Expression:
    fields = spot.record(("op", "value", "type"), required=() if spot.lenient else ("op",))
    return Expression(
        op=_op(fields["op"]) if "op" in fields else Op.ALWAYS,
        value=_values(fields["value"]) if "value" in fields else (),
        type=_type(fields["type"]) if "type" in fields else ValueType.PLAIN,
    )


def _values(spot: Spot) -> tuple[str, ...]:
    if spot.lenient and not isinstance(spot.value, list):
        return (spot.text(),)
    return spot.texts()


def _op(spot: Spot) -> Op:
    text = spot.text()
    if text in _OPS or (spot.lenient and text == Op.ALWAYS):
        return Op(text)
    if is_text(spot.value):
        spot.note(f"{text[:80]!r} is no operator{suggest(text, _OPS)}; there are {', '.join(_OPS)}")
    return Op.ALWAYS


def _type(spot: Spot) -> ValueType:
    text = spot.text()
    if text in tuple(ValueType):
        return ValueType(text)
    spot.note(f"{text[:80]!r} is no type{suggest(text, tuple(ValueType))}; there is only version")
    return ValueType.PLAIN
