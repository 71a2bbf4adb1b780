"""The command line of `gpunode labels`: input that is wrong, hostile or unusual."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gpu_core.host.release_requests import FOLDER, write_request
from gpunode.labels import command as module
from tests.gpunode.labels.conftest import Show
from tests.gpunode.verbs import run_verb, without_styles
from tests.nfd_lite.conftest import load_host

EVIL = "a\\u001b[31m\\nb"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a b",), "'a b' is not the key of a label: its name must begin and end with a letter or digit"),
        (("x" * 300,), "is not the key of a label: its name has 300 characters, 63 are allowed"),
        (("gpu.count=8",), "'gpu.count=8' is not the key of a label"),
        (("\x1b[31m",), "is not the key of a label"),
        (("--rules", "/nothing/there"), "/nothing/there: does not exist"),
        (("--node-labels", "/nothing/there"), "/nothing/there: does not exist"),
        (("--simulate", "h100x9"), "there is no scenario 'h100x9' (did you mean h100x8?)"),
        (("--mig-strategy", "both"), "'both' is not one of 'none', 'single', 'mixed'."),
        (("--feature-sources", "cpuu"), "'cpuu' is not a source (did you mean cpu?)"),
        (("--label-white-list", "("), "Invalid value for '--label-white-list'"),
        (("--options", "{core: {labelSource: []}}"), "--options: core.labelSource"),
        (("--kubeconfig", "/nothing/there"), "/nothing/there"),
        (("--nodelabels", "x"), "No such option '--nodelabels'."),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_wrong_command_line(arguments: tuple[str, ...], message: str, show: Show) -> None:
    result = show(*arguments)
    assert result.exit_code == (1 if "--kubeconfig" in arguments else 2)
    assert result.stdout == ""
    assert message in result.stderr
    assert "\x1b" not in result.stderr
    assert "Traceback" not in result.stderr


def test_a_host_root_that_is_no_folder(show: Show, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = show(host=tmp_path / "file")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"gpunode labels: --host-root: {tmp_path}/file is not a directory\n"


def test_all_problems_of_a_config_file_and_of_rule_files_are_reported(show: Show, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: Pod\n")
    (tmp_path / "b.yaml").write_bytes(b"\xff")
    result = show("--rules", str(tmp_path / "a.yaml"), "--rules", str(tmp_path / "b.yaml"))
    assert result.exit_code == 2
    assert f"{tmp_path}/b.yaml: is not a UTF-8 text file" in result.stderr
    assert f"{tmp_path}/a.yaml: " in result.stderr
    (tmp_path / "c.yaml").write_text("core: {featureSource: []}\nsources: {pcii: {}}\n")
    result = show("--config", str(tmp_path / "c.yaml"))
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 2)


def test_rules_from_standard_input(show: Show) -> None:
    result = show("--rules", "-", "x", stdin="- {name: r, labels: {x: red}}")
    assert "x=red" in result.stdout
    assert "source  the rule - / r, simulated" not in result.stdout
    assert "source  the rule - / r" in result.stdout


def test_names_with_control_characters_are_escaped(show: Show, tmp_path: Path) -> None:
    rules = f'- {{name: "{EVIL}", labels: {{x: y}}}}\n- {{name: "{EVIL}", labels: {{z: y}}, matchFeatures: [{{feature: "{EVIL}"}}]}}\n'
    rules += f'- {{name: "{EVIL}", matchFeatures: 7}}\n'
    (tmp_path / "rules.yaml").write_text(rules)
    file = ("--rules", str(tmp_path / "rules.yaml"))
    for arguments in (
        (),
        ("x",),
        ("z",),
        ("-o", "wide"),
        ("-o", "csv"),
        ("-o", "name"),
        ("-o", "json"),
        ("-o", "yaml"),
    ):
        for columns in (None, 40):
            result = show(*file, *arguments, columns=columns if "-o" not in arguments else None)
            text = without_styles(result.stdout + result.stderr)
            assert all(letter.isprintable() or letter == "\n" for letter in text)
            assert "m\nb" not in text
            assert result.exit_code in (0, 1)


def test_the_formats_have_the_same_labels(show: Show) -> None:
    stable = ("--no-timestamp", "true")
    document = json.loads(show(*stable, "-o", "json").stdout)
    assert yaml.safe_load(show(*stable, "-o", "yaml").stdout) == document
    expected = [(each["key"], each["value"], each["agent"], each["source"]) for each in document["labels"]]
    header, *rows = csv.reader(io.StringIO(show(*stable, "-o", "csv").stdout))
    assert header == ["label", "value", "agent", "source", "meaning"]
    assert [tuple(row[:4]) for row in rows] == expected
    assert show(*stable, "-o", "name").stdout.splitlines() == [key for key, *_ in expected]
    table = show(*stable).stdout.splitlines()[1:]
    assert [line.split("   ")[0] for line in table] == [key for key, *_ in expected]
    assert document["simulated"] == "h100x8"
    assert document["notes"] == ["the GPUs are simulated (--simulate h100x8)"]


@pytest.mark.parametrize(("output", "printed"), [("name", "nvidia.com/gpu.count\n"), ("csv", "label,value,agent")])
def test_one_label_as_csv_or_name(output: str, printed: str, show: Show) -> None:
    assert show("gpu.count", "-o", output).stdout.startswith(printed)
    missing = show("mig.strategy", "-o", output)
    assert missing.exit_code == 1
    assert "nvidia.com/mig.strategy" not in missing.stdout


def test_problems_are_notes_on_standard_error(show: Show, tmp_path: Path) -> None:
    root = load_host("xeon-h100", tmp_path / "host").root.base
    (root / "proc/swaps").unlink()
    (root / "proc/swaps").mkdir()
    folder = root / "etc/kubernetes/node-feature-discovery/custom.d"
    folder.mkdir(parents=True)
    (folder / "broken.yaml").write_text("a: [")
    result = show(host=root)
    assert result.exit_code == 0
    assert "gpunode labels: nfd-lite: memory.swap: cannot read /proc/swaps: Is a directory\n" in result.stderr
    assert f"{folder.relative_to(root)}/broken.yaml" in result.stderr
    assert "memory-swap" not in result.stdout


def test_a_release_request_keeps_the_driver_closed(show: Show, tmp_path: Path) -> None:
    write_request(tmp_path / "lock" / FOLDER, "me", 600)
    result = show("gpu.count")
    assert result.exit_code == 1
    assert "a release request keeps NVML closed" in result.stdout


def test_the_help_begins_with_examples() -> None:
    lines = run_verb("labels", "--help").stdout.splitlines()
    assert lines[0] == "Examples:"
    assert lines[1].split() == ["gpunode", "labels", "all", "labels", "of", "this", "host"]


def test_the_command_of_kubectl_is_the_same() -> None:
    result = run_verb("labels", "gpu.count", "--simulate", "t4x1", "--lock-dir", "", program="kubectl gpu")
    assert result.stderr == "kubectl gpu labels: the GPUs are simulated (--simulate t4x1)\n"


def test_agents_do_not_import_the_command() -> None:
    code = (
        "import sys, nfd_lite.__main__, gfd.__main__; print(sorted(m for m in sys.modules if m.startswith('gpunode')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert module.command.name == "labels"
