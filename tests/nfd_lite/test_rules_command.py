"""The commands `nfd-lite rules test` and `nfd-lite rules validate`."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from nfd_lite.feature_names import FEATURE_NAMES
from nfd_lite.rules_command import rules
from nfd_lite.sources import Host, SourceSettings, collect
from node_core.domain.node_feature import render_features

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "how-to" / "write-rules.md"

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
    """Runs a command in a new folder. files: name -> content."""
    monkeypatch.chdir(tmp_path)

    def invoke(arguments: Sequence[str], stdin: str = "", *, color: bool = False, **files: str) -> Result:
        for name, content in files.items():
            (tmp_path / name).write_text(content)
        return CliRunner().invoke(rules, list(arguments), prog_name="gpunode rules", input=stdin, color=color)

    return invoke


@pytest.mark.golden
def test_the_output_contains_the_outputs_of_each_rule_and_the_reasons(
    run: Run, golden: Callable[[str, str], None]
) -> None:
    result = run(["test", "rules", "--features", "features"], rules=OBJECT.replace("5.4", "4.4"), features=FEATURES)
    golden("nfd_lite/rules-test.txt", result.stdout)
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.golden
def test_the_json_output_has_the_same_content(run: Run, golden: Callable[[str, str], None]) -> None:
    result = run(["test", "-o", "json", "--features", "features", "-"], OBJECT, features=FEATURES)
    golden("nfd_lite/rules-test.json", result.stdout)
    assert [rule["matched"] for rule in json.loads(result.stdout)["rules"]] == [False, True, False]
    assert result.exit_code == 0


def test_the_example_in_the_documentation_is_correct(run: Run, named_host: Callable[[str], Host]) -> None:
    blocks = dict(re.findall(r"^```(yaml|text)\n(.*?)^```$", DOCUMENTATION.read_text(), re.DOTALL | re.MULTILINE))
    features = render_features(collect(named_host("xeon-h100"), SourceSettings()).features)
    result = run(["test", "-", "--features", "features"], blocks["yaml"], features=yaml.safe_dump(features))
    assert result.stdout == blocks["text"]


GPU_RULE = """
- name: big
  labels: {big: "true"}
  matchFeatures:
    - {feature: node.label, matchExpressions: {nvidia.com/gpu.memory: {op: Gt, value: ["80000"]}}}
"""


@pytest.mark.parametrize(("memory", "matched"), [("81559", True), ("15360", False)])
def test_node_labels_come_from_a_file(run: Run, memory: str, matched: bool) -> None:
    labels = f"nvidia.com/gpu.memory={memory}\n"
    flags = ("--features", "features", "--node-labels", "labels", "-o", "json")
    result = run(["test", *flags, "-"], GPU_RULE, features=FEATURES, labels=labels)
    assert [rule["matched"] for rule in json.loads(result.stdout)["rules"]] == [matched]
    assert run(["test", "--node-labels", "rule", "-"], GPU_RULE, rule=GPU_RULE).exit_code == 2


def test_denied_and_allowed_namespaces_are_options(run: Run) -> None:
    rule = OBJECT.replace("gpu-kernel:", "example.com/kernel:").replace("5.4", "4.4")
    plain_run, result = (
        json.loads(run(["test", "-o", "json", *flags, "--features", "features", "-"], rule, features=FEATURES).stdout)
        for flags in ((), ("--deny-label-ns=*", "--extra-label-ns=example.org"))
    )
    assert "example.com/kernel" in plain_run["rules"][0]["outputs"]["labels"]
    assert "example.com/kernel" not in result["rules"][0]["outputs"]["labels"]
    assert {each["key"] for each in result["rules"][0]["problems"]} > {"example.com/kernel"}


def test_without_a_features_file_the_host_is_read(run: Run, named_host: Callable[[str], Host]) -> None:
    host = named_host("xeon-h100")
    result = run(["test", "--host-root", str(host.root.base), "-"], OBJECT)
    assert "gpu-nodes / data centre GPU: matched" in result.stdout
    assert "2330" in result.stdout
    assert result.exit_code == 0


def test_a_feature_that_cannot_be_read_is_reported(run: Run, named_host: Callable[[str], Host]) -> None:
    host = named_host("xeon-h100")
    enforce = host.root.path("/sys/fs/selinux/enforce")
    enforce.parent.mkdir(parents=True, exist_ok=True)
    enforce.write_text("")
    result = run(["test", "--host-root", str(host.root.base), "-"], OBJECT)
    assert "kernel.selinux cannot be read: /sys/fs/selinux/enforce is empty" in result.stderr
    assert result.exit_code == 0


def test_custom_rules_are_tested_separately_from_objects(run: Run) -> None:
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
            "spec.rules[2].matchFeatures[0].matchExpressions.amx.op: 'isTrue' is not an operator (did you mean IsTrue?)",
        ),
        (OBJECT.replace("{{ end }}", ""), "labelsTemplate: line "),
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
        (["test", "none"], "none: does not exist"),
        (["test", "."], ".: is a folder, not a file"),
        (["test", "broken", "none"], "broken: line 2, column 1: a value is missing"),
        (["test", "good", "--features", "none"], "none: does not exist"),
        (["test", "good", "--features", "good"], "good: spec.rules: unknown key"),
        (["test", "good", "--host-root", "good"], "--host-root: good is not a directory"),
        (["test", "good", "-o", "xml"], "'xml' is not one of 'text', 'json'"),
        (["validate", "binary"], "binary: is not a UTF-8 text file"),
        (["validate", "large"], "large: is larger than 1048576 bytes"),
        (["validate", "other"], "other: kind: expected NodeFeatureRule, got Pod"),
    ],
    ids=str,
)
def test_invalid_input_is_exit_status_2(run: Run, tmp_path: Path, arguments: list[str], why: str) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    result = run(
        arguments, good=OBJECT, broken="a: [", large="#" * (1 << 21), other=OBJECT.replace("NodeFeatureRule", "Pod")
    )
    assert why in result.stderr
    assert (result.exit_code, result.stdout) == (2, "")


def test_every_invalid_file_is_reported(run: Run) -> None:
    result = run(["validate", "none", "broken", "good"], good=OBJECT, broken="a: [")
    assert len(result.stderr.splitlines()) == 2


def test_correct_rules_are_valid(run: Run) -> None:
    result = run(["validate", "-"], OBJECT.replace('        kubernetes.io/gpu: "true"\n', ""))
    assert (result.exit_code, result.stdout) == (0, "3 rules, 0 problems\n")


def test_validate_reports_problems_that_exist_on_every_node(run: Run) -> None:
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


def test_terminal_codes_in_input_texts_are_removed(run: Run) -> None:
    hostile = '- name: "a\\e[2J\\a"\n  "la\\abels": {}\n- name: b\n  vars: {x: "\\a"}\n'
    for command in ("test", "validate"):
        result = run([command, "-", *(["--features", "features"] * (command == "test"))], hostile, features=FEATURES)
        assert not {"\x1b", "\a"} & set(result.stdout + result.stderr)
        assert "a?[2J?" in result.stdout
        assert result.exit_code == 1


def nfr(*rules: str) -> str:
    head = "apiVersion: nfd.k8s-sigs.io/v1alpha1\nkind: NodeFeatureRule\nmetadata: {name: site}\nspec:\n  rules:\n"
    return head + "".join(f"  - {rule}\n" for rule in rules)


@pytest.mark.parametrize(
    ("name", "hint", "is_problem"),
    [
        ("kernel.loadedmodules", "'kernel.loadedmodules' (did you mean kernel.loadedmodule?)", True),
        ("pci.devices", "(did you mean pci.device?)", True),
        ("memory.size", "(the features of memory are memory.hugepages, memory.numa, memory.nv, memory.swap)", True),
        ("cpu.feature", "(the features of cpu are cpu.coprocessor, cpu.cpuid, ", True),
        ("kubernetes.label", "(did you mean node.label?). Only NodeFeature objects of other programs", False),
        ("nvidia.gpu", "Only NodeFeature objects of other programs can provide it", False),
        ("local.nvidia-gpu", "(the features of local are local.feature, local.label)", False),
    ],
)
def test_validate_reports_features_that_no_source_provides(run: Run, name: str, hint: str, is_problem: bool) -> None:
    result = run(["validate", "-"], nfr(f"{{name: r, matchFeatures: [{{feature: {name}}}]}}"))
    line, total = result.stdout.splitlines()
    assert line.startswith(f"{'' if is_problem else 'warning: '}site / r: no source provides the feature {name!r}")
    assert hint in line
    assert total == ("1 rules, 1 problems" if is_problem else "1 rules, 0 problems, 1 warnings")
    assert result.exit_code == is_problem


def test_validate_accepts_every_feature_of_the_sources_in_any_case(run: Run) -> None:
    terms = ", ".join(f"{{feature: {name.upper()}}}" for name in FEATURE_NAMES)
    result = run(["validate", "-"], nfr(f"{{name: r, matchFeatures: [{terms}]}}"))
    assert result.stdout == "1 rules, 0 problems\n"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1e04", "the number 10000.0: put 1e04 in quotes"),
        ("0180", "the number 180.0: put 0180 in quotes"),
        ("010", "the number 8: put 010 in quotes"),
        ("0x1f", "the number 31: put 0x1f in quotes"),
        ("1_000", "the number 1000: put 1_000 in quotes"),
        ("y", "the boolean true: put the value in quotes"),
        ("off", "the boolean false: put the value in quotes"),
        ("~", "nothing"),
    ],
)
def test_validate_reports_what_kubectl_makes_of_a_value_without_quotes(run: Run, written: str, read: str) -> None:
    terms = f"[{{feature: pci.device, matchExpressions: {{device: {{op: In, value: [{written}]}}}}}}]"
    rule = f"{{name: r, labels: {{card: {written}}}, matchFeatures: {terms}}}"
    result = run(["validate", "-"], nfr(rule))
    assert result.stdout.splitlines() == [
        f"site / r: spec.rules[0].labels.card: expected text, got {read}",
        f"site / r: spec.rules[0].matchFeatures[0].matchExpressions.device.value[0]: expected text, got {read}",
        "1 rules, 2 problems",
    ]
    assert result.exit_code == 1


@pytest.mark.parametrize("written", ["2001-01-01", "12:30:45", "10de", "'1e04'"])
def test_validate_accepts_what_kubectl_reads_as_text(run: Run, written: str) -> None:
    rule = f"{{name: r, annotations: {{a: {written}}}}}"
    assert run(["validate", "-"], nfr(rule)).stdout == "1 rules, 0 problems\n"


def test_validate_warns_of_numbers_in_custom_rules_that_are_not_read_as_written(run: Run) -> None:
    rule = "- {name: r, matchFeatures: [{feature: pci.device, matchExpressions: {device: [1e04, 2330]}}]}"
    path = "rules[0].matchFeatures[0].matchExpressions.device[0]"
    result = run(["validate", "-"], rule)
    assert result.stdout.splitlines() == [
        f"warning: - / r: {path}: 1e04 is read as the number 10000. For the text, write '1e04'",
        "1 rules, 0 problems, 1 warnings",
    ]


@pytest.mark.parametrize("field", ["annotations", "vars"])
def test_validate_warns_of_references_that_stay_literal(run: Run, field: str) -> None:
    why = "is written as it is. Only labels and extended resources resolve a value with @"
    result = run(["validate", "-"], nfr(f'{{name: r, {field}: {{f: "@cpu.model.family", mail: "@me"}}}}'))
    assert result.stdout.splitlines() == [
        f"warning: site / r: spec.rules[0].{field}.f: '@cpu.model.family' {why}",
        "1 rules, 0 problems, 1 warnings",
    ]
    assert result.exit_code == 0


def test_rules_with_the_same_name_or_without_a_name_are_distinguishable(run: Run) -> None:
    unknown = "matchFeatures: [{feature: pci.devices}]"
    rules = (f"{{name: r, {unknown}}}", f"{{name: r, {unknown}}}", f'{{name: "", {unknown}}}')
    result = run(["validate", "-"], nfr(*rules))
    names = [line.partition(":")[0] for line in result.stdout.splitlines()]
    assert names[:3] == ["site / r", "site / r (2)", "site / spec.rules[2]"]
    shown = json.loads(
        run(["test", "-o", "json", "--features", "features", "-"], nfr(*rules), features=FEATURES).stdout
    )
    assert [each["rule"] for each in shown["rules"]] == ["r", "r (2)", "spec.rules[2]"]


def test_test_shows_warnings_without_a_failure(run: Run) -> None:
    terms = "[{feature: kernel.version, matchExpressions: {minor: {op: Gt, value: [x]}}}]"
    rule = f'{{name: r, annotations: {{f: "@cpu.model.id"}}, matchFeatures: {terms}}}'
    result = run(["test", "--features", "features", "-"], nfr(rule), features=FEATURES)
    assert "site / r: not matched" in result.stdout
    assert (
        "  warnings\n    spec.rules[0].matchFeatures[0].matchExpressions.minor: 'x' is not an integer" in result.stdout
    )
    assert result.exit_code == 0


def test_test_suggests_features_of_the_same_source_only(run: Run) -> None:
    rule = "{name: r, matchFeatures: [{feature: cpu.feature}, {feature: kernel.config}]}"
    features = FEATURES.replace("attributes:", "attributes:\n      local.feature: {elements: {}}", 1)
    result = run(["test", "--features", "features", "-"], nfr(rule), features=features)
    assert "this node does not have this feature (the features of cpu are cpu.coprocessor, " in result.stdout
    assert re.search(r"kernel.config +no +this node does not have this feature$", result.stdout, re.MULTILINE)


@pytest.mark.parametrize("field", ["labels", "extendedResources"])
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("@cpu.model", "a.io/x: its value '@cpu.model' does not have the form @domain.feature.element"),
        ("@", "a.io/x: its value '@' does not have the form @domain.feature.element"),
        ("@kernel.versions.full", "no source provides the feature 'kernel.versions' (did you mean kernel.version?)"),
        (
            "@pci.device.vendor",
            "@pci.device.vendor: pci.device has no attributes, only flags or instances. Write a labelsTemplate",
        ),
        (
            "@Kernel.version.full",
            "@Kernel.version.full: names of features after @ are case-sensitive. Write kernel.version",
        ),
        ("@cpu.cpuid.AVX10_VERSION", None),
        ("@kernel.version.full", None),
        ("@local.label.x.y/z", None),
    ],
)
def test_validate_checks_references(run: Run, field: str, value: str, problem: str | None) -> None:
    result = run(["validate", "-"], nfr(f'{{name: r, {field}: {{a.io/x: "{value}"}}}}'))
    assert result.stdout.splitlines()[:-1] == ([] if problem is None else [f"site / r: {problem}"])


def test_validate_finds_features_that_a_template_does_not_get(run: Run) -> None:
    rule = "{name: r, labelsTemplate: 'a={{ .kernel.versoin }}', matchFeatures: [{feature: kernel.version}]}"
    why = "the template gets only the features in matchFeatures, which are kernel.version"
    result = run(["validate", "-"], nfr(rule))
    assert result.stdout.splitlines()[:-1] == [f"site / r: spec.rules[0].labelsTemplate: .kernel.versoin: {why}"]


def test_problems_of_one_of_several_objects_have_its_number(run: Run) -> None:
    result = run(["validate", "-"], f"{nfr('{name: r}')}\n---\n{nfr('{name: r}').replace('rules', 'rule')}")
    assert result.stderr.splitlines()[-1] == "gpunode rules validate: -: object 2: spec.rules: is missing"


@pytest.mark.parametrize(
    ("feature", "element", "expression", "finds"),
    [
        ("cpu.cpuid", "AVX512F", "{op: IsTrue}", True),
        ("Kernel.LoadedModule", "nvidia", '{op: NotIn, value: ["x"]}', True),
        ("cpu.cpuid", "AVX10_VERSION", '{op: Gt, value: ["1"]}', False),
        ("cpu.cpuid", "AVX512F", "{op: DoesNotExist}", False),
        ("kernel.config", "NO_HZ", '{op: In, value: ["y"]}', False),
    ],
)
def test_validate_finds_expressions_that_need_the_value_of_a_flag(
    run: Run, feature: str, element: str, expression: str, finds: bool
) -> None:
    term = f"{{feature: {feature}, matchExpressions: {{{element}: {expression}}}}}"
    result = run(["validate", "-"], nfr(f"{{name: r, matchFeatures: [{term}]}}"))
    found = f"{element}: is a flag, which has no value, so" in result.stdout
    assert (found, result.exit_code) == (finds, int(finds))
