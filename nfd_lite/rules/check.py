"""Finds mistakes in a rule that do not prevent its evaluation on every node, for the author of the rule. PURE."""

from collections.abc import Iterator

from gotemplate.errors import TemplateError
from nfd_lite.rules.expand import compile_template
from nfd_lite.rules.expression import expression_problem, expression_warning
from nfd_lite.rules.model import Expression, Rule, Term
from nfd_lite.rules.outputs import is_reference


def check_rule(rule: Rule, path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the latent problems and the warnings of a rule (see Rule). path: the path of the rule in its document."""
    expressions = list(_expressions(rule))
    problems = [(where, expression_problem(each)) for where, each in expressions]
    for field, text in (("labelsTemplate", rule.labels_template), ("varsTemplate", rule.vars_template)):
        problems += [(field, why) for why in _template_problems(text, rule)]
    warnings = [(where, expression_warning(each)) for where, each in expressions]
    warnings += [(where, _reference_warning(value)) for where, value in _plain_values(rule)]
    return _sentences(path, problems), _sentences(path, warnings)


def _sentences(path: str, findings: list[tuple[str, str | None]]) -> tuple[str, ...]:
    return tuple(f"{path}.{where}: {why}" for where, why in findings if why is not None)


def _expressions(rule: Rule) -> Iterator[tuple[str, Expression]]:
    """Yields the path of each expression in the rule, and the expression."""
    for where, terms in (
        ("matchFeatures", rule.match_features),
        *((f"matchAny[{number}].matchFeatures", group) for number, group in enumerate(rule.match_any)),
    ):
        for index, term in enumerate(terms):
            yield from ((f"{where}[{index}].{step}", each) for step, each in _term_expressions(term))


def _term_expressions(term: Term) -> Iterator[tuple[str, Expression]]:
    yield from ((f"matchExpressions.{name}", each) for name, each in (term.match_expressions or {}).items())
    if term.match_name is not None:
        yield "matchName", term.match_name


def _template_problems(text: str, rule: Rule) -> Iterator[str]:
    """Yields why a template cannot be parsed, or which features it reads that it does not get."""
    try:
        paths = compile_template(text).required_fields()
    except TemplateError as error:
        yield str(error)
        return
    for names in paths:
        missing = (_missing_feature(names, where, terms) for where, terms in _template_groups(rule))
        if (why := next(filter(None, missing), None)) is not None:
            yield f".{'.'.join(names)[:80]}: {why}"


def _template_groups(rule: Rule) -> Iterator[tuple[str, tuple[Term, ...]]]:
    """Yields the path and the terms of each group. A template runs once for each group that matches."""
    yield from ((f"matchAny[{number}].matchFeatures", group) for number, group in enumerate(rule.match_any))
    if rule.match_features or not rule.match_any:
        yield "matchFeatures", rule.match_features


def _missing_feature(names: tuple[str, ...], where: str, terms: tuple[Term, ...]) -> str | None:
    """Returns why a template does not find a path in the features of a group."""
    features = sorted({term.feature for term in terms})
    feature = ".".join(names[:2])
    if feature not in features and not (len(names) == 1 and any(each.startswith(f"{feature}.") for each in features)):
        return f"the template gets only the features in {where}, which are {', '.join(features)[:200] or 'none'}"
    if len(names) > 2:
        return f"{feature[:80]} is a list. Write {{{{range .{feature[:80]}}}}} … {{{{end}}}}"
    return None


def _plain_values(rule: Rule) -> Iterator[tuple[str, str]]:
    """Yields the path and the value of each output that does not resolve `@domain.feature.element`."""
    for field, values in (("annotations", rule.annotations), ("vars", rule.vars)):
        yield from ((f"{field}.{key}", value) for key, value in values.items())


def _reference_warning(value: str) -> str | None:
    if not is_reference(value):
        return None
    return f"{value!r} is written as it is. Only labels and extended resources resolve a value with @"
