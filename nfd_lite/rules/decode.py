"""Decodes NodeFeatureRule objects, from the API or from files. Source: NFD's CRD, nfd.k8s-sigs.io/v1alpha1.

A problem in one rule affects only this rule: the decoded set contains the rule with its problems. A rule with problems retains the names
of its outputs, because an agent that starts must know which published outputs may belong to the rule.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from nfd_lite.rules.check import check_rule
from nfd_lite.rules.model import Expression, Op, Rule, RuleSet, Term, ValueType
from node_core.decode import Cursor, is_text
from node_core.domain.node_feature import API_VERSION, OPENSHIFT_GROUP
from node_core.domain.taints import EFFECTS, Taint
from node_core.errors import SettingsError
from node_core.schema import suggest
from node_core.values import replace

KIND = "NodeFeatureRule"
API_VERSIONS = (API_VERSION, f"{OPENSHIFT_GROUP}/v1alpha1", f"{OPENSHIFT_GROUP}/v1", "nfd.kubernetes.io/v1alpha1")
"""The API versions of the same schema. OpenShift's documentation also has its group with v1; the last group is of NFD's operator."""
_LISTS = ("List", f"{KIND}List")
_RULE = (
    *("name", "labels", "labelsTemplate", "annotations", "vars", "varsTemplate", "taints", "extendedResources"),
    *("matchFeatures", "matchAny"),
)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]*")
_OLD_FORM = (
    "is the old form of custom rules, which Node Feature Discovery removed. Write matchFeatures, and labels in place of value."
    " The features are pci.device for pciId, usb.device for usbId, kernel.loadedmodule for loadedKMod, cpu.cpuid for cpuId,"
    " kernel.config for kConfig, and system.name for nodename"
)
_OPS = tuple(op.value for op in Op if op)
MAX_PATTERNS = 500
"""Maximum regular expressions in one object. The compilation of one expression can take some milliseconds."""


def decode_rule_sets(documents: Iterable[Any], source: str) -> tuple[RuleSet, ...]:
    """Decodes objects, and lists of objects as `kubectl get -o yaml` prints them. Raises SettingsError with all problems."""
    sets: list[RuleSet] = []
    problems: list[str] = []
    objects = [one for document in documents for one in list_objects(document)]
    for number, one in enumerate(objects, 1):
        try:
            sets.append(decode_rule_set(one, source if len(objects) == 1 else f"{source}: object {number}"))
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)
    return tuple(sets)


def list_objects(document: Any) -> list[Any]:
    """Returns the objects of a list as `kubectl get -o yaml` prints it; any other document alone."""
    if isinstance(document, Mapping) and document.get("kind") in _LISTS and isinstance(document.get("items"), list):
        return list(document["items"])
    return [document]


def decode_rule_set(data: Any, source: str | None = None) -> RuleSet:
    """Decodes one object. Raises SettingsError with all problems outside of the rules.

    source: prefix of the problems; None for the name of the object.
    """
    cursor = Cursor(value=data)
    misplaced = dict(_find_misplaced(data))
    cursor.problems.extend(f"{path}: belongs {where}" for path, where in misplaced.items())
    required = ("apiVersion", "kind", "metadata") if misplaced else ("apiVersion", "kind", "metadata", "spec")
    fields = cursor.fields(("apiVersion", "kind", "metadata", "spec", "status", *misplaced), required=required)
    for key, accepted in (("apiVersion", API_VERSIONS), ("kind", (KIND,))):
        if key in fields and fields[key].text() not in accepted:
            fields[key].report(f"expected {accepted[0]}, got {str(fields[key].value)[:80]}")
    name = _metadata_name(fields["metadata"]) if "metadata" in fields else ""
    in_spec = ("rules", *(path.removeprefix("spec.") for path in misplaced))
    spec = fields["spec"].fields(in_spec, required=() if misplaced else ("rules",)) if "spec" in fields else {}
    rules = list(spec["rules"].items()) if "rules" in spec else []
    if (patterns := count_patterns(data)) > MAX_PATTERNS:
        cursor.report(f"has {patterns} patterns; the maximum is {MAX_PATTERNS}")
    if cursor.problems:
        raise SettingsError([f"{source or name or KIND}: {note}" for note in cursor.problems])
    return RuleSet(name=name, rules=decode_rules(rules))


def _find_misplaced(data: Any) -> Iterator[tuple[str, str]]:
    """Yields the path of each key of rules in a wrong place of an object, and where the key belongs."""
    if not isinstance(data, Mapping):
        return
    for path, parent in (("rules", data), ("metadata.rules", data.get("metadata"))):
        if isinstance(parent, Mapping) and "rules" in parent:
            yield path, "under spec, as spec.rules"
    spec = data.get("spec")
    if isinstance(spec, Mapping) and "rules" not in spec:
        yield from ((f"spec.{key}", "in an item of spec.rules") for key in spec if key in _RULE)


def count_patterns(data: Any) -> int:
    """Counts the regular expressions at any depth of an object."""
    stack, count = [data], 0
    while stack:
        value = stack.pop()
        if isinstance(value, Mapping):
            patterns = value.get("value") if value.get("op") == Op.IN_REGEXP else None
            count += len(patterns) if isinstance(patterns, list) else 0
            stack += value.values()
        elif isinstance(value, list):
            stack += value
    return count


def _metadata_name(cursor: Cursor) -> str:
    name = cursor.mapping().get("name")
    if name is None:
        cursor.child("name", None).report("is missing")
        return ""
    return name.text()


def decode_rules(cursors: Iterable[Cursor]) -> tuple[Rule, ...]:
    return tuple(map(decode_rule, cursors))


def decode_rule(cursor: Cursor) -> Rule:
    """Decodes a rule. A rule with problems has no conditions: only its name, its outputs and the problems."""
    rule_cursor = Cursor(value=cursor.value, path=cursor.path, lenient=cursor.lenient)
    rule = _read_rule(rule_cursor)
    if not rule_cursor.problems:
        latent_problems, warnings = check_rule(rule, cursor.path)
        return replace(rule, latent_problems=latent_problems, warnings=(*rule_cursor.warnings, *warnings))
    return replace(rule, match_features=(), match_any=(), problems=tuple(rule_cursor.problems))


def salvage_rule(name: str, text: str) -> Rule:
    """Returns one rule in place of the rules in a text that cannot be decoded. Each word of the text may be the name of an output."""
    words = dict.fromkeys((word.rstrip("_./-") for word in _WORD.findall(text)), "")
    return Rule(
        name=name,
        labels=words,
        labels_template="?" if "Template" in text else "",
        annotations=words,
        extended_resources=words,
        taints=tuple(Taint(key=word, value="", effect=effect) for word in words if "/" in word for effect in EFFECTS),
    )


def _read_rule(cursor: Cursor) -> Rule:
    if isinstance(cursor.value, Mapping) and "matchOn" in cursor.value:
        cursor.child("matchOn", None).report(_OLD_FORM)
        cursor = replace(
            cursor, value={key: value for key, value in cursor.value.items() if key not in ("matchOn", "value")}
        )
    fields = cursor.fields(_RULE, required=("name",))

    def get(key: str, read: Callable[[Cursor], Any], otherwise: Any) -> Any:
        return read(fields[key]) if key in fields else otherwise

    return Rule(
        name=get("name", Cursor.text, "") or cursor.path,
        labels=get("labels", Cursor.text_map, {}),
        labels_template=get("labelsTemplate", Cursor.text, ""),
        annotations=get("annotations", Cursor.text_map, {}),
        vars=get("vars", Cursor.text_map, {}),
        vars_template=get("varsTemplate", Cursor.text, ""),
        taints=get("taints", _taints, ()),
        extended_resources=get("extendedResources", Cursor.text_map, {}),
        match_features=get("matchFeatures", _terms, ()),
        match_any=get("matchAny", _groups, ()),
    )


def _taints(cursor: Cursor) -> tuple[Taint, ...]:
    return tuple(map(_taint, cursor.items()))


def _taint(cursor: Cursor) -> Taint:
    fields = cursor.fields(("key", "value", "effect", "timeAdded"), required=("key", "effect"))
    texts = {key: fields[key].text() for key in ("key", "value", "effect") if key in fields}
    return Taint(key=texts.get("key", ""), value=texts.get("value", ""), effect=texts.get("effect", ""))


def _groups(cursor: Cursor) -> tuple[tuple[Term, ...], ...]:
    records = [item.fields(("matchFeatures",), required=("matchFeatures",)) for item in cursor.items()]
    return tuple(_terms(record["matchFeatures"]) for record in records if "matchFeatures" in record)


def _terms(cursor: Cursor) -> tuple[Term, ...]:
    return tuple(map(_term, cursor.items()))


def _term(cursor: Cursor) -> Term:
    fields = cursor.fields(("feature", "matchExpressions", "matchName"), required=("feature",))
    expressions, name = fields.get("matchExpressions"), fields.get("matchName")
    return Term(
        feature=fields["feature"].text() if "feature" in fields else "",
        match_expressions=None if expressions is None else _expressions(expressions),
        match_name=None if name is None else _expression(name),
    )


def _expressions(cursor: Cursor) -> dict[str, Expression]:
    if cursor.lenient and isinstance(cursor.value, list):
        return dict(map(_listed_expression, cursor.items()))
    return {key: _expression(below) for key, below in cursor.mapping().items()}


def _listed_expression(cursor: Cursor) -> tuple[str, Expression]:
    """Decodes the short forms `key` and `key=value` of custom rules."""
    key, equals, value = cursor.text().partition("=")
    return key, Expression(op=Op.IN, value=(value,)) if equals else Expression(op=Op.EXISTS)


def _expression(cursor: Cursor) -> Expression:
    is_short = cursor.lenient and not isinstance(cursor.value, Mapping)
    return _short_expression(cursor) if is_short else _full_expression(cursor)


def _short_expression(cursor: Cursor) -> Expression:
    """Decodes the short form of custom rules without an operator: a list of accepted values, or nothing for any value."""
    return Expression(op=Op.EXISTS) if cursor.value is None else Expression(op=Op.IN, value=_values(cursor))


def _full_expression(cursor: Cursor) -> Expression:
    fields = cursor.fields(("op", "value", "type"), required=() if cursor.lenient else ("op",))
    return Expression(
        op=_op(fields["op"]) if "op" in fields else Op.ALWAYS,
        value=_values(fields["value"]) if "value" in fields else (),
        type=fields["type"].text() if "type" in fields else ValueType.PLAIN,
    )


def _values(cursor: Cursor) -> tuple[str, ...]:
    if cursor.lenient and not isinstance(cursor.value, list):
        return (cursor.text(),)
    return cursor.texts()


def _op(cursor: Cursor) -> Op:
    text = cursor.text()
    if text in _OPS or (cursor.lenient and text == Op.ALWAYS):
        return Op(text)
    if is_text(cursor.value):
        cursor.report(f"{text[:80]!r} is not an operator{suggest(text, _OPS)}. The operators are {', '.join(_OPS)}")
    return Op.ALWAYS
