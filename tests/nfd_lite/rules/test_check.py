"""Mistakes in a rule that do not prevent its evaluation on every node."""

from typing import Any

import pytest

from nfd_lite.rules.decode import decode_rule
from nfd_lite.rules.model import Rule
from node_core.decode import Cursor

KERNEL = {"matchFeatures": [{"feature": "kernel.version"}]}
PCI = {"matchFeatures": [{"feature": "pci.device"}]}
ONLY = "the template gets only the features in"
A_LIST = "kernel.version is a list. Write {{range .kernel.version}} … {{end}}"
FIRST = "matchAny[0].matchFeatures, which are pci.device"
SECOND = "matchAny[1].matchFeatures, which are usb.device"
PCI_OR_USB = {"matchAny": [PCI, {"matchFeatures": [{"feature": "usb.device"}]}]}


def decode(**fields: Any) -> Rule:
    return decode_rule(Cursor(value={"name": "r", **fields}, path="rule"))


@pytest.mark.parametrize("field", ["labelsTemplate", "varsTemplate"])
@pytest.mark.parametrize(
    ("template", "condition", "problem"),
    [
        ("a={{ .kernel.versoin }}", KERNEL, f".kernel.versoin: {ONLY} matchFeatures, which are kernel.version"),
        ("a={{ .kernel.version.major }}", KERNEL, f".kernel.version.major: {A_LIST}"),
        ("{{ range $.a.b }}{{ end }}", {}, f".a.b: {ONLY} matchFeatures, which are none"),
        ("{{ range .pci.device }}{{ end }}", PCI_OR_USB, f".pci.device: {ONLY} {SECOND}"),
        ("{{ range .usb.device }}{{ end }}", {**PCI_OR_USB, **KERNEL}, f".usb.device: {ONLY} {FIRST}"),
        ("{{ range .usb }}{{ end }}", PCI, f".usb: {ONLY} matchFeatures, which are pci.device"),
        ("{{ .pc }}", PCI, f".pc: {ONLY} matchFeatures, which are pci.device"),
    ],
    ids=["unknown", "element", "no condition", "second group", "first group", "source", "part of a source"],
)
def test_a_feature_that_a_template_does_not_get_is_a_latent_problem(
    field: str, template: str, condition: dict[str, Any], problem: str
) -> None:
    rule = decode(**{field: template}, **condition)
    assert rule.latent_problems == (f"rule.{field}: {problem}",)
    assert (rule.problems, rule.warnings) == ((), ())


@pytest.mark.parametrize(
    ("template", "condition"),
    [
        ("{{ range .pci.device }}{{ .vendor }}=1{{ end }}", PCI),
        ("{{ range $k, $v := .pci }}{{ end }}", PCI),
        ('{{ if hasKey . "pci" }}a={{ len .pci.device }}{{ end }}', PCI),
        ("a=b", {}),
    ],
)
def test_a_template_that_reads_features_of_its_conditions_has_no_problem(
    template: str, condition: dict[str, Any]
) -> None:
    rule = decode(labelsTemplate=template, **condition)
    assert (rule.problems, rule.latent_problems, rule.warnings) == ((), (), ())


def test_a_condition_of_either_kind_and_of_a_name_has_its_path() -> None:
    wrong = {"op": "Gt", "value": ["x"]}
    terms = [{"feature": "a.b"}, {"feature": "c.d", "matchExpressions": {"e": wrong}, "matchName": wrong}]
    rule = decode(matchFeatures=terms, matchAny=[{"matchFeatures": [{"feature": "e.f"}]}, {"matchFeatures": terms}])
    paths = [each.partition(": ")[0] for each in rule.latent_problems]
    assert paths == [
        "rule.matchFeatures[1].matchExpressions.e",
        "rule.matchFeatures[1].matchName",
        "rule.matchAny[1].matchFeatures[1].matchExpressions.e",
        "rule.matchAny[1].matchFeatures[1].matchName",
    ]


@pytest.mark.parametrize("field", ["annotations", "vars"])
def test_a_reference_in_an_output_that_does_not_resolve_it_is_a_warning(field: str) -> None:
    rule = decode(**{field: {"f": "@cpu.model.family", "mail": "@me"}})
    assert rule.latent_problems == ()
    assert rule.warnings == (
        f"rule.{field}.f: '@cpu.model.family' is written as it is. Only labels and extended resources resolve a value with @",
    )
