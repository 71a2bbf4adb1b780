"""`gpunode config check`, as a person runs it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from tests.conftest import Golden
from tests.gpunode.verbs import run_verb, without_styles

NVIDIA = """version: v1
flags:
  migStrategy: mixed
  plugin: {deviceListStrategy: [envvar, cdi-cri], passDeviceSpecs: true}
  gfd: {sleepInterval: 30s}
sharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 4}]}}
pools: [{name: team, devices: [0, 1]}]
"""
WRONG = """flags:
  migStrategie: mixed
  deviceDiscoveryStrategy: nvml
  plugin: {deviceListStrategy: envar, passDeviceSpecs: "true"}
sharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: -4}]}}
reserve: []
"""
NFD = """core: {sleepInterval: 30s, labelSources: [pci], klog: {v: 4}}
extraLabelNs: [example.com]
resyncPeriod: 1h
restrictions: {allowOverwrite: false}
sources:
  pci: {deviceLabelFields: [vendor]}
  custom:
  - {name: a, labels: {x: "1"}, matchFeatures: [{feature: pci.device, matchExpressions: {vendor: {op: In, value: ["10de"]}}}]}
"""
CLEAN = dict.fromkeys(
    ("MIG_STRATEGY", "CONFIG_FILE", "NODE_NAME", "HTTP_ADDRESS", "DEVICE_LIST_STRATEGY", "GPUNODE_SIMULATE"), ""
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(*arguments: str, environment: Mapping[str, str] | None = None, **more: Any) -> Result:
    return run_verb("config", "check", *arguments, environment={**CLEAN, **(environment or {})}, **more)


def settings(result: Result) -> dict[str, tuple[str, str, list[str]]]:
    (report,) = json.loads(result.stdout)["files"]
    return {
        f"{each['name']} of {each['agents'][0]}": (each["value"], each["from"], each["agents"])
        for each in report["settings"]
    }


@pytest.mark.golden
@pytest.mark.parametrize(("name", "content", "status"), [("nvidia", NVIDIA, 0), ("wrong", WRONG, 1), ("nfd", NFD, 0)])
def test_the_output_is_the_golden_output(golden: Golden, folder: Path, name: str, content: str, status: int) -> None:
    (folder / "config.yaml").write_text(content)
    result = check("config.yaml")
    assert (result.exit_code, result.stderr) == (status, "")
    golden(f"config-check/{name}.txt", result.stdout)


@pytest.mark.golden
def test_a_narrow_terminal_shows_blocks_with_complete_values(golden: Golden, folder: Path) -> None:
    (folder / "nfd-worker.conf").write_text(NFD)
    result = check("nfd-worker.conf", columns=40)
    assert not any(line.endswith("...") for line in without_styles(result.stdout).splitlines())
    golden("config-check/narrow.txt", without_styles(result.stdout))


def test_a_value_comes_from_the_flag_the_environment_the_file_or_the_default(folder: Path) -> None:
    (folder / "f").write_text(NVIDIA)
    environment = {"MIG_STRATEGY": "single", "DEVICE_LIST_STRATEGY": "envvar"}
    found = settings(check("f", "-o", "json", "--", "--mig-strategy", "none", environment=environment))
    assert found["mig-strategy of gfd"] == ("none", "flag --mig-strategy", ["gfd", "gpu-device-plugin"])
    assert found["device-list-strategy of gpu-device-plugin"][:2] == ("envvar", "environment DEVICE_LIST_STRATEGY")
    assert found["pass-device-specs of gpu-device-plugin"][:2] == ("true", "file flags.plugin.passDeviceSpecs")
    assert found["device-id-strategy of gpu-device-plugin"][:2] == ("uuid", "default")
    assert found["sleep-interval of gfd"] == ("30s", "file flags.gfd.sleepInterval", ["gfd"])
    assert found["sleep-interval of gpu-device-plugin"] == ("60s", "default", ["gpu-device-plugin"])


def test_a_flag_of_one_agent_shows_this_agent(folder: Path) -> None:
    (folder / "f").write_text(NVIDIA)
    (report,) = json.loads(check("f", "-o", "json", "--", "--gate-delay", "5s").stdout)["files"]
    assert report["agents"] == ["gpu-device-plugin"]


@pytest.mark.parametrize(
    ("arguments", "environment", "why"),
    [
        (("--", "--mig-strategie", "none"), {}, "gfd: --mig-strategie: unknown flag (did you mean --mig-strategy?)"),
        (("--", "--mig-strategy", "x"), {}, "gpu-device-plugin: --mig-strategy: 'x' is not one of"),
        ((), {"MIG_STRATEGY": "mixd"}, "MIG_STRATEGY (--mig-strategy): 'mixd' is not one of"),
    ],
)
def test_a_wrong_flag_or_environment_variable_is_no_error_of_the_file(
    folder: Path, arguments: tuple[str, ...], environment: dict[str, str], why: str
) -> None:
    (folder / "f").write_text(NVIDIA)
    result = check("f", *arguments, environment=environment)
    assert (result.exit_code, result.stdout) == (2, "")
    assert why in result.stderr


def test_all_files_of_a_config_map_are_checked(folder: Path) -> None:
    data = {"default": NVIDIA, "wrong": "flags: {migStrategy: 3}"}
    (folder / "map.yaml").write_text(
        yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data})
    )
    result = check("map.yaml")
    assert result.exit_code == 1
    assert "map.yaml: ConfigMap c, default: NVIDIA's config file for gfd and gpu-device-plugin: valid" in result.stdout
    assert "  flags.migStrategy: must be text, found the number 3. Put the value in quotes" in result.stdout


def test_the_same_file_twice_is_checked_once_and_standard_input_is_a_file(folder: Path) -> None:
    (folder / "f").write_text(NVIDIA)
    assert len(json.loads(check("f", "f", "-o", "json").stdout)["files"]) == 1
    assert check("-", stdin=NVIDIA).stdout.startswith("-: NVIDIA's config file")
    assert yaml.safe_load(check("-", "-o", "yaml", stdin=NFD).stdout)["files"][0]["kind"] == "nfd"


def test_all_shows_the_settings_that_no_file_can_contain(folder: Path) -> None:
    (folder / "f").write_text(NVIDIA)
    assert "gate-delay" not in check("f").stdout
    assert "gate-delay" in check("f", "--all").stdout


def test_each_problem_of_each_file_is_reported_and_the_kind_can_be_forced(folder: Path) -> None:
    (folder / "a").write_text("x: 1")
    (folder / "b").write_bytes(b"\xff\xfe")
    result = check("a", "b", "c")
    assert result.exit_code == 2
    assert result.stderr == (
        "gpunode config check: a: is not recognised as a config file. Use --kind nvidia or --kind nfd\n"
        "gpunode config check: b: is not a UTF-8 text file\n"
        "gpunode config check: c: does not exist\n"
    )
    forced = check("a", "--kind", "nvidia")
    assert (forced.exit_code, "x: unknown key" in forced.stdout) == (1, True)


def test_hostile_text_does_not_reach_the_terminal(folder: Path) -> None:
    hostile = {"version": "v1", "pools": [{"name": "a\x1b[2J", "devices": ["\x1b]0;x\x07"]}], "fl\x1b[2Jags": {}}
    (folder / "f").write_text(json.dumps(hostile))
    for arguments in (("f",), ("f", "-o", "json"), ("f", "-o", "yaml")):
        result = check(*arguments)
        assert result.exit_code == 1
        assert "\x1b" not in result.output


def test_a_rule_that_is_not_valid_is_an_error_of_the_file(folder: Path) -> None:
    (folder / "f").write_text("sources: {custom: [{name: a, label: {}}]}\ncore: {featureSources: [pcy]}")
    result = check("f")
    assert result.exit_code == 1
    assert "core.featureSources: 'pcy' is not a source (did you mean pci?)" in result.stdout
    (folder / "f").write_text("sources: {custom: [{name: a, label: {}}]}")
    assert "label: unknown key (did you mean labels?)" in check("f").stdout
