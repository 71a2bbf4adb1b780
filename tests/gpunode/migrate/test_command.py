"""`gpunode migrate`, as a person runs it."""

import json
from pathlib import Path

import pytest
import yaml

from tests.conftest import Golden
from tests.gpunode.migrate.schema import refused_values
from tests.gpunode.verbs import run_verb, without_styles

INPUTS = Path(__file__).parent / "inputs"
PUBLISHED = Path(__file__).parents[2] / "manifests" / "upstream"
FILES = {path.stem: path for path in (*sorted(PUBLISHED.iterdir()), *sorted(INPUTS.iterdir()))}
"""The published default values of the three charts, and values as people have them."""
WRONG = {"gpu-operator-24"}
"""Inputs with a config file that the agents refuse."""


@pytest.mark.golden
@pytest.mark.parametrize("name", FILES)
def test_the_values_and_the_report_are_the_golden_ones(golden: Golden, name: str) -> None:
    result = run_verb("migrate", str(FILES[name]))
    assert result.exit_code == (1 if name in WRONG else 0)
    golden(f"migrate/{name}.yaml", result.stdout)
    golden(f"migrate/{name}.txt", result.stderr)


@pytest.mark.parametrize("name", FILES)
def test_the_chart_accepts_the_values(name: str) -> None:
    values = yaml.safe_load(run_verb("migrate", str(FILES[name])).stdout)
    assert refused_values(values) == []
    assert values == json.loads(run_verb("migrate", str(FILES[name]), "-o", "json").stdout)["values"]


@pytest.mark.golden
def test_all_charts_together(golden: Golden) -> None:
    files = [str(FILES[name]) for name in ("device-plugin-own-nfd", "nfd-rules")]
    result = run_verb("migrate", *files)
    assert result.exit_code == 0
    golden("migrate/two-charts.yaml", result.stdout)


def test_the_report_alone_is_on_standard_output() -> None:
    file = str(FILES["nfd-rules"])
    report = run_verb("migrate", file, "-o", "report")
    assert (report.stdout, report.stderr) == (run_verb("migrate", file).stderr, "")


@pytest.mark.golden
def test_a_narrow_terminal_wraps_the_report(golden: Golden) -> None:
    result = run_verb("migrate", str(FILES["device-plugin"]), "-o", "report", columns=40)
    golden("migrate/narrow.txt", without_styles(result.stdout))


def test_json_has_values_and_reasons() -> None:
    document = json.loads(
        run_verb("migrate", "-", "-o", "json", stdin="mig: {strategy: single}\ndcgm: {enabled: true}").stdout
    )
    assert document["from"] == ["the GPU Operator"]
    assert document["moved"] == [{"from": ["mig.strategy"], "to": "migStrategy"}]
    assert {"values": ["dcgm"], "why": "This part stays in the GPU Operator. Set it there."} in document["actions"]
    assert document["problems"] == []


def test_standard_input_may_have_the_heading_of_helm() -> None:
    result = run_verb("migrate", "-", stdin="USER-SUPPLIED VALUES:\nmigStrategy: mixed\n")
    assert yaml.safe_load(result.stdout) == {"migStrategy": "mixed"}
    assert yaml.safe_load(run_verb("migrate", "--from", "nvidia-device-plugin", "-", stdin="null").stdout) is None


@pytest.mark.parametrize(
    ("stdin", "why"),
    [
        ("", "-: has no values that a known chart has"),
        ("a: [", "-: line 2, column 1"),
        ("migStrategy: 5\ngdsEnabled: perhaps", "gdsEnabled: must be true or false, found the text 'perhaps'"),
        ("{apiVersion: v1, kind: Pod}", "-: contains Pod, but no ClusterPolicy"),
        ("a: " + "x" * (5 << 20), "-: is larger than 1048576 bytes"),
        ("migStrategy: none\nx: " + "[" * 200 + "]" * 200, "nested deeper than 100 levels"),
    ],
)
def test_input_that_is_not_valid_gives_no_values(stdin: str, why: str) -> None:
    result = run_verb("migrate", "-", stdin=stdin)
    assert (result.exit_code, result.stdout) == (2, "")
    assert why in result.stderr
    assert all(line.startswith("gpunode migrate: ") for line in result.stderr.splitlines())


def test_hostile_text_does_not_reach_the_terminal() -> None:
    hostile = {
        "migStrategy": "none", "x\x1b[2J": 1, "nodeSelector": {"\x1b]0;a\x07": "\x1b[31m"}, "podAnnotations": {"a": "l\nb\u202e\x9b"},
        "config": {"map": {"a": "version: v1\n# \x1b[2J"}}, "gfd": {"runtimeClassName": "\x1b"}, "runtimeClassName": "a",
    }  # fmt: skip
    for arguments in ((), ("-o", "json"), ("-o", "yaml"), ("-o", "report")):
        result = run_verb("migrate", "-", *arguments, stdin=json.dumps(hostile))
        assert result.exit_code in (0, 1)
        assert not set("\x1b\x9b\x07\u202e") & set(result.output + result.stderr)
    assert yaml.safe_load(run_verb("migrate", "-", stdin=json.dumps(hostile)).stdout)["podAnnotations"] == {
        "a": "l\nb\u202e\x9b"
    }


def test_aliases_are_written_in_full() -> None:
    result = run_verb("migrate", "-", stdin="podAnnotations: &a {x: y}\nnodeSelector: *a\nmigStrategy: none\n")
    assert yaml.safe_load(result.stdout)["nodeSelector"] == {"x": "y"}
    assert "&" not in result.stdout
