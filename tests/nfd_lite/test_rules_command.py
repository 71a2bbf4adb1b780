"""`nfd-lite rules test` and `validate`, as an author runs them."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from nfd_lite.rules_command import rules
from nfd_lite.sources import Host, SourceSettings, collect
from node_core.domain.node_feature import render_features

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "rules.md"

OBJECT = """
apiVersion: nfd.k8s-sigs.io/v1alpha1
kind: NodeFeatureRule
metadata:
  name: gpu-nodes
spec:
  rules:
    - name: data centre GPU
      labels:
        gpu-class: data-centre
        gpu-kernel: "@kernel.version.full"
        kubernetes.io/gpu: "true"
      labelsTemplate: |
        {{ range .pci.device }}gpu-{{ .device }}=true
        {{ end }}
      annotations:
        note: for "training" only
      vars:
        gpus: "yes"
      taints:
        - key: example.com/gpu
          effect: NoSchedule
      extendedResources:
        example.com/licenses: "4000"
      matchFeatures:
        - feature: pci.device
          matchExpressions:
            vendor: {op: In, value: ["10de"]}
            class: {op: In, value: ["0300", "0302"]}
        - feature: kernel.version
          matchExpressions:
            full: {op: Ge, value: ["5.4"], type: version}
    - name: AMX
      labels:
        amx: "true"
      matchAny:
        - matchFeatures:
            - feature: cpu.cpuid
              matchExpressions:
                AMXTILES: {op: Exists}
        - matchFeatures:
            - feature: cpu.cpuid
              matchName: {op: InRegexp, value: ["^AMX(BF16|INT8)$"]}
    - name: both
      labels:
        gpu-and-amx: "true"
      matchFeatures:
        - feature: rule.matched
          matchExpressions:
            gpus: {op: IsTrue}
            amx: {op: IsTrue}
"""
FEATURES = """
kind: NodeFeature
metadata: {name: node-1}
spec:
  features:
    flags:
      cpu.cpuid: {elements: {AVX: {}, AMXTILE: {}, AMXINT8: {}}}
    attributes:
      kernel.version: {elements: {full: 4.18.0-553.el8_10.x86_64, major: "4"}}
    instances:
      pci.device:
        elements:
          - attributes: {vendor: 10de, class: "0302", device: "2330"}
          - attributes: {vendor: "8086", class: "0604", device: 347a}
          - attributes: {vendor: "8086", class: "0604", device: 347b}
  labels: {}
"""

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a folder of its own, with files by name -> content."""
    monkeypatch.chdir(tmp_path)

    def invoke(arguments: Sequence[str], stdin: str = "", *, color: bool = False, **files: str) -> Result:
        for name, content in files.items():
            (tmp_path / name).write_text(content)
        return CliRunner().invoke(rules, list(arguments), input=stdin, color=color)

    return invoke


@pytest.mark.golden
def test_an_author_sees_what_a_rule_makes_and_why(run: Run, golden: Callable[[str, str], None]) -> None:
    result = run(["test", "rules", "--features", "features"], rules=OBJECT.replace("5.4", "4.4"), features=FEATURES)
    golden("nfd_lite/rules-test.txt", result.stdout)
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.golden
def test_a_program_gets_the_same_as_json(run: Run, golden: Callable[[str, str], None]) -> None:
    result = run(["test", "-o", "json", "--features", "features", "-"], OBJECT, features=FEATURES)
    golden("nfd_lite/rules-test.json", result.stdout)
    assert [rule["matched"] for rule in json.loads(result.stdout)["rules"]] == [False, True, False]
    assert result.exit_code == 0


def test_the_example_of_the_documentation_is_true(run: Run, named_host: Callable[[str], Host]) -> None:
    blocks = dict(re.findall(r"^```(yaml|text)\n(.*?)^```$", DOCUMENTATION.read_text(), re.DOTALL | re.MULTILINE))
    features = render_features(collect(named_host("xeon-h100"), SourceSettings()).features)
    result = run(["test", "-", "--features", "features"], blocks["yaml"], features=yaml.safe_dump(features))
    assert result.stdout == blocks["text"]


def test_an_author_may_say_which_namespaces_the_cluster_denies_and_allows(run: Run) -> None:
    rule = OBJECT.replace("gpu-kernel:", "example.com/kernel:").replace("5.4", "4.4")
    plain_run, told = (
        json.loads(run(["test", "-o", "json", *flags, "--features", "features", "-"], rule, features=FEATURES).stdout)
        for flags in ((), ("--deny-label-ns=*", "--extra-label-ns=example.org"))
    )
    assert "example.com/kernel" in plain_run["rules"][0]["made"]["labels"]
    assert "example.com/kernel" not in told["rules"][0]["made"]["labels"]
    assert {each["key"] for each in told["rules"][0]["problems"]} > {"example.com/kernel"}


def test_without_features_it_looks_at_the_host(run: Run, named_host: Callable[[str], Host]) -> None:
    host = named_host("xeon-h100")
    result = run(["test", "--host-root", str(host.root.base), "-"], OBJECT)
    assert "gpu-nodes / data centre GPU: matched" in result.stdout
    assert "2330" in result.stdout
    assert result.exit_code == 0


def test_a_part_of_the_host_that_cannot_be_read_is_said(run: Run, named_host: Callable[[str], Host]) -> None:
    host = named_host("xeon-h100")
    enforce = host.root.path("/sys/fs/selinux/enforce")
    enforce.parent.mkdir(parents=True, exist_ok=True)
    enforce.write_text("")
    result = run(["test", "--host-root", str(host.root.base), "-"], OBJECT)
    assert "kernel.selinux cannot be read: /sys/fs/selinux/enforce is empty" in result.stderr
    assert result.exit_code == 0


def test_custom_rules_are_tested_too_and_do_not_mix_with_objects(run: Run) -> None:
    asks = "matchFeatures: [{feature: cpu.cpuid, matchExpressions: [AVX]}]"
    custom = f"- name: short\n  labels: {{x: 1}}\n  vars: {{amx: true, gpus: true}}\n  {asks}\n"
    result = run(
        ["test", "object", "custom", "--features", "features"], object=OBJECT, custom=custom, features=FEATURES
    )
    assert "custom / short: matched" in result.stdout
    assert "gpu-nodes / both: not matched" in result.stdout


FAILING = OBJECT.replace("IsTrue", "Gt, value: ['1']")
UNSOUND = OBJECT.replace("IsTrue", "isTrue")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (FAILING, "rule.matched: amx: 'true' is not an integer"),
        (
            UNSOUND,
            "spec.rules[2].matchFeatures[0].matchExpressions.amx.op: 'isTrue' is no operator (did you mean IsTrue?)",
        ),
        (OBJECT.replace("{{ end }}", ""), "spec.rules[0].labelsTemplate: line "),
    ],
    ids=["failing", "unsound", "template"],
)
def test_a_rule_that_cannot_be_evaluated_is_exit_status_1(run: Run, text: str, why: str) -> None:
    result = run(["test", "-", "--features", "features"], text.replace("5.4", "4.4"), features=FEATURES)
    assert why in result.stdout
    assert ": failed\n" in result.stdout
    assert "gpu-nodes / AMX: matched" in result.stdout
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["test"], "Missing argument 'FILE...'"),
        (["test", "none"], "none: No such file or directory"),
        (["test", "."], ".: Is a directory"),
        (["test", "broken", "none"], "broken: while parsing"),
        (["test", "good", "--features", "none"], "none: No such file or directory"),
        (["test", "good", "--features", "good"], "good: spec.rules: unknown key"),
        (["test", "good", "--host-root", "good"], "--host-root: good is not a directory"),
        (["test", "good", "-o", "xml"], "'xml' is not one of 'text', 'json'"),
        (["validate", "binary"], "binary: is not a UTF-8 text file"),
        (["validate", "large"], "large: is larger than 1048576 bytes"),
        (["validate", "other"], "other: kind: expected NodeFeatureRule, got Pod"),
    ],
    ids=str,
)
def test_unusable_input_is_exit_status_2(run: Run, tmp_path: Path, arguments: list[str], why: str) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    result = run(
        arguments, good=OBJECT, broken="a: [", large="#" * (1 << 21), other=OBJECT.replace("NodeFeatureRule", "Pod")
    )
    assert why in result.stderr
    assert (result.exit_code, result.stdout) == (2, "")


def test_every_unusable_file_is_told(run: Run) -> None:
    result = run(["validate", "none", "broken", "good"], good=OBJECT, broken="a: [")
    assert len(result.stderr.splitlines()) == 2


def test_sound_rules_are_valid(run: Run) -> None:
    result = run(["validate", "-"], OBJECT.replace('        kubernetes.io/gpu: "true"\n', ""))
    assert (result.exit_code, result.stdout) == (0, "3 rules, 0 problems\n")


def test_validate_tells_what_is_wrong_on_any_node(run: Run) -> None:
    result = run(["validate", "-"], UNSOUND)
    lines = result.stdout.splitlines()
    assert lines[0].startswith(
        "gpu-nodes / data centre GPU: kubernetes.io/gpu: its namespace 'kubernetes.io' belongs to Kubernetes"
    )
    assert [line.partition(".op: ")[0] for line in lines[1:3]] == [
        f"gpu-nodes / both: spec.rules[2].matchFeatures[0].matchExpressions.{name}" for name in ("gpus", "amx")
    ]
    assert lines[3] == "3 rules, 3 problems"
    assert result.exit_code == 1


def test_colours_are_for_terminals(run: Run) -> None:
    arguments = ["test", "-", "--features", "features"]
    assert "\x1b[32m" in run(arguments, OBJECT, color=True, features=FEATURES).stdout
    assert "\x1b" not in run(arguments, OBJECT, features=FEATURES).stdout


def test_codes_in_somebodys_text_do_not_reach_the_terminal(run: Run) -> None:
    hostile = '- name: "a\\e[2J\\a"\n  "la\\abels": {}\n- name: b\n  vars: {x: "\\a"}\n'
    for command in ("test", "validate"):
        result = run([command, "-", *(["--features", "features"] * (command == "test"))], hostile, features=FEATURES)
        assert not {"\x1b", "\a"} & set(result.stdout + result.stderr)
        assert "a?[2J?" in result.stdout
        assert result.exit_code == 1
