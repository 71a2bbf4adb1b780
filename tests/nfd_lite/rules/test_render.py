import click

from nfd_lite.rules.explain import trace
from nfd_lite.rules.model import Rule, RuleSet
from nfd_lite.rules.render import render_traces
from node_core.domain.features import Features
from tests.nfd_lite.rules.test_evaluate import context, rule

FEATURES = Features(attributes={"kernel.version": {"full": "6.8.0"}})


def rendered(*rules: Rule) -> list[str]:
    return click.unstyle(render_traces(trace([RuleSet(name="s", rules=rules)], context(FEATURES)))).splitlines()


def test_a_refused_output_is_not_a_problem_of_the_rule() -> None:
    lines = rendered(rule(labels={"x": "1", "kubernetes.io/y": "1"}))
    assert lines[0] == "s / r: matched"
    assert "  problems" not in lines
    assert lines[lines.index("  refused outputs") + 1].startswith("    kubernetes.io/y: ")


def test_a_problem_of_the_rule_is_not_a_refused_output() -> None:
    lines = rendered(rule(labelsTemplate="x"))
    assert lines[0] == "s / r: failed"
    assert "  refused outputs" not in lines
    assert lines[lines.index("  problems") + 1].startswith("    labelsTemplate: ")
