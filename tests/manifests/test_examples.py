"""Each example documents its requirements and its result, and the chart and the programs accept its YAML."""

import pytest
import yaml

from gpu_core.settings.nvidia_config import decode_nvidia_config
from nfd_lite.rules.decode import decode_rule_set
from nfd_lite.rules_command import rule_problems, rule_warnings
from tests.e2e.examples import EXAMPLES, NAMES, Expected, parse_expected, read_config, read_expected, read_values
from tests.e2e.scenarios import examples
from tests.manifests.helm import load, named, template

WITH_VALUES = [name for name in NAMES if (EXAMPLES / name / "values.yaml").exists()]


@pytest.mark.parametrize("name", NAMES)
def test_a_readme_contains_requirements_commands_and_output_and_names_all_files(name: str) -> None:
    text = (EXAMPLES / name / "README.md").read_text()
    assert "\nNeeds: " in text
    assert "\nExpected, " in text
    assert read_expected(name)
    files = {path.name for path in (EXAMPLES / name).iterdir()} - {"README.md"}
    assert {file for file in files if f"manifests/examples/{name}/{file}" in text} == files


def test_every_example_is_listed_and_has_a_scenario() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    assert [name for name in NAMES if f"({name}/README.md)" not in listed] == []
    with_scenario = {scenario.name for scenario in examples.SCENARIOS}
    assert with_scenario == {f"the_example_{name.replace('-', '_')}_has_the_documented_result" for name in NAMES}
    assert all(scenario.real_only is None for scenario in examples.SCENARIOS)


@pytest.mark.usefixtures("helm_binary")
@pytest.mark.parametrize("name", WITH_VALUES)
def test_the_chart_accepts_the_values_of_an_example(name: str) -> None:
    objects = named(load(template(f"--values={EXAMPLES / name / 'values.yaml'}")))
    assert ("DaemonSet", "gfd") in objects


@pytest.mark.parametrize("name", [name for name in WITH_VALUES if "config" in read_values(name)])
def test_the_programs_accept_the_config_of_an_example(name: str) -> None:
    decode_nvidia_config(yaml.safe_load(read_config(name)), ("gfd", "plugin"), source=name)


def test_the_rules_of_an_example_are_valid() -> None:
    rules = read_values("premium-gpu")["premium"]["rules"]
    obj = {
        "apiVersion": "nfd.k8s-sigs.io/v1alpha1",
        "kind": "NodeFeatureRule",
        "metadata": {"name": "premium"},
        "spec": {"rules": rules},
    }
    decoded = decode_rule_set(obj, "premium").rules
    assert decoded
    assert [each for rule in decoded for each in (*rule_problems(rule), *rule_warnings(rule))] == []


def test_the_expected_output_of_a_readme_is_parsed() -> None:
    text = (
        "x\n```sh\nkubectl apply\n```\n```console\n$ kubectl get a -o 'b c'\nNAME   P  \nd\n$ kubectl get e\n```\ny\n"
    )
    assert parse_expected(text) == (
        Expected(command=("get", "a", "-o", "b c"), output="NAME   P\nd"),
        Expected(command=("get", "e"), output=""),
    )
    assert parse_expected("") == ()
