"""`gpunode topo` as a person runs it."""

import json
from pathlib import Path

import pytest
import yaml

from tests.conftest import Golden
from tests.gpunode.verbs import run_verb, without_styles


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HOST_ROOT", "CONFIG_FILE", "MIG_STRATEGY", "GPUNODE_SIMULATE", "KUBELET_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GPUNODE_LOCK_DIR", str(tmp_path / "run"))


@pytest.mark.golden
@pytest.mark.parametrize("columns", [None, 40], ids=["pipe", "40 columns"])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("links", ()),
        ("request", ("--request", "3", "--available", "0,1,3,4")),
    ],
    ids=["links", "request"],
)
def test_the_output_is_the_golden_file(
    name: str, arguments: tuple[str, ...], columns: int | None, golden: Golden
) -> None:
    result = run_verb("topo", "--simulate", "mixed-models", *arguments, columns=columns)
    assert (result.exit_code, result.stderr) == (0, "")
    golden(f"gpunode/topo-{name}-{columns or 'pipe'}.txt", without_styles(result.stdout))


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_the_document_has_the_links_and_the_answer(output: str) -> None:
    result = run_verb("topo", "--simulate", "mixed-models", "--request", "2", "-o", output)
    found = json.loads(result.stdout) if output == "json" else yaml.safe_load(result.stdout)
    assert found["simulated"] is True
    assert [gpu["numaNode"] for gpu in found["gpus"]] == [0, 0, 1, 1, 1]
    assert len(found["links"]) == 10
    assert found["links"][0] == {
        "gpus": [0, 1],
        "term": "NV4",
        "nvlinks": 4,
        "viaSwitches": False,
        "pciPath": "node",
        "score": 420,
    }
    request = found["request"]
    assert ([each["index"] for each in request["devices"]], request["score"], request["method"]) == (
        ["0", "1"],
        420,
        "links",
    )


@pytest.mark.parametrize(
    ("arguments", "status", "problem"),
    [
        (("--simulate", "h100x9"), 2, "gpunode topo: there is no scenario 'h100x9' (did you mean h100x8?)"),
        (("--simulate", "none"), 1, "gpunode topo: simulated GPUs: the node has no NVIDIA driver"),
        (("--simulate", "t4x1", "--request", "2"), 1, "gpunode topo: a request for 2 cannot be met: 1 of 1"),
        (("--simulate", "t4x1", "--request", "0"), 2, "Usage:"),
        (("--simulate", "t4x1", "--resource", "gpu"), 2, "Usage:"),
        (("--simulate", "t4x1", "--mig-strategy", "x"), 2, "Usage:"),
        (("--host-root", "/nowhere"), 2, "gpunode topo: --host-root: /nowhere is not a directory"),
        (("--config-file", "/nowhere"), 2, "gpunode topo: /nowhere: does not exist"),
    ],
    ids=["scenario", "no GPUs", "too many", "zero", "resource alone", "strategy", "host root", "config"],
)
def test_an_error_is_one_line_and_an_exit_status(arguments: tuple[str, ...], status: int, problem: str) -> None:
    result = run_verb("topo", *arguments)
    assert result.exit_code == status, result.output
    assert result.stderr.startswith(problem), result.stderr
    assert result.stdout == ""


def test_the_config_file_of_the_plugin_decides_which_resources_there_are(tmp_path: Path) -> None:
    config = {"version": "v1", "sharing": {"timeSlicing": {"resources": [{"name": "nvidia.com/gpu", "replicas": 2}]}}}
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    result = run_verb(
        "topo", "--simulate", "t4x1", "--request", "2", "--config-file", str(tmp_path / "config.yaml"), "-o", "json"
    )
    found = json.loads(result.stdout)["request"]
    assert [each["id"].partition("::")[2] for each in found["devices"]] == ["0", "1"]


def test_a_scenario_of_hostile_texts_cannot_control_the_terminal(tmp_path: Path) -> None:
    node = {"driver": {"version": "1"}, "gpus": [{"model": "A\x1b[31m\x07", "count": 2, "device_id": "2330"}]}
    (tmp_path / "hostile.yaml").write_text(json.dumps(node))
    for output in ([], ["-o", "svg"], ["-o", "json"], ["-o", "yaml"], ["--request", "2"]):
        result = run_verb("topo", "--simulate", str(tmp_path / "hostile.yaml"), *output)
        assert result.exit_code == 0, result.output
        assert not {"\x1b", "\x07"} & set(result.stdout)
