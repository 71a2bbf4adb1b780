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


ALL = """\
s / r: matched
  matchFeatures                 yes
    kernel.version              yes
      full       InRegexp '^6'  yes    '6.8.0'
      matchName  In 'full'      yes    1 of 1 name: full
  matchAny[0]                   no
    pci.device                  no     this node does not have this feature
  matchAny[1]                   yes
    kernel.version              yes
      full  Exists              yes    '6.8.0'
  labels
    feature.node.kubernetes.io/a=1
  annotations
    feature.node.kubernetes.io/b=@x.y.z
  taints
    x.io/t=v:NoSchedule
  extended resources
    feature.node.kubernetes.io/c=2
  variables
    v=3
  refused outputs
    kubernetes.io/y: its namespace 'kubernetes.io' belongs to Kubernetes. Use feature.node.kubernetes.io or profile.node.kubernetes.io, \
or another domain
  warnings
    .annotations.b: '@x.y.z' is written as it is. Only labels and extended resources resolve a value with @
"""


def test_a_trace_shows_conditions_outputs_and_problems_in_columns() -> None:
    everything = rule(
        labels={"a": "1", "kubernetes.io/y": "1"},
        annotations={"b": "@x.y.z"},
        taints=[{"key": "x.io/t", "value": "v", "effect": "NoSchedule"}],
        extendedResources={"c": "2"},
        vars={"v": "3"},
        matchFeatures=[
            {
                "feature": "kernel.version",
                "matchExpressions": {"full": {"op": "InRegexp", "value": ["^6"]}},
                "matchName": {"op": "In", "value": ["full"]},
            }
        ],
        matchAny=[
            {"matchFeatures": [{"feature": "pci.device"}]},
            {"matchFeatures": [{"feature": "kernel.version", "matchExpressions": {"full": {"op": "Exists"}}}]},
        ],
    )
    assert rendered(everything) == ALL.splitlines()


def test_the_name_of_the_rule_is_bold_and_results_have_colours() -> None:
    known = rule(matchFeatures=[{"feature": "kernel.version"}])
    text = render_traces(trace([RuleSet(name="s", rules=(known,))], context(FEATURES)))
    assert text.startswith("s / \x1b[1mr\x1b[0m: \x1b[32mmatched\x1b[0m\n")
    assert "\x1b[32myes\x1b[0m" in text
