"""`gpunode mig` as a person runs it."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import Result

from tests.conftest import Golden
from tests.gpunode.mig.places import serve_pods
from tests.gpunode.verbs import run_verb, without_styles

MIXED = "h100x8-mig-mixed"
SMALL = "MIG-92ac7e91-999c-598d-8bdc-08d2f91b318c"
"""The 1g.10gb of GPU 6."""
CONFIG = """
version: v1
mig-configs:
  team-a:
    - devices: [6, 7]
      mig-enabled: true
      mig-devices: {1g.10gb.me: 1, 3g.40gb: 1}
  all-balanced:
    - devices: all
      mig-enabled: false
"""


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HOST_ROOT", "CONFIG_FILE", "MIG_STRATEGY", "GPUNODE_SIMULATE", "KUBELET_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GPUNODE_LOCK_DIR", str(tmp_path / "run"))


def run(*arguments: str, simulate: str = MIXED, stdin: str | None = None, **environment: str) -> Result:
    return run_verb("mig", *arguments, "--simulate", simulate, stdin=stdin, environment=environment)


@pytest.mark.golden
@pytest.mark.parametrize("columns", [None, 40], ids=["pipe", "40 columns"])
@pytest.mark.parametrize(
    ("name", "arguments", "status"),
    [
        ("list", ("list",), 0),
        ("devices", ("list", "--devices"), 0),
        ("names", ("names",), 0),
        ("plan", ("plan", "all-balanced"), 0),
        ("plan-wide", ("plan", "all-3g.40gb", "-o", "wide"), 0),
        ("assert", ("assert", "all-disabled"), 1),
        ("export", ("export",), 0),
    ],
    ids=["list", "devices", "names", "plan", "plan-wide", "assert", "export"],
)
def test_the_output_is_the_golden_file(
    name: str, arguments: tuple[str, ...], status: int, columns: int | None, golden: Golden
) -> None:
    result = run_verb("mig", *arguments, "--simulate", MIXED, columns=columns)
    assert result.exit_code == status
    golden(f"gpunode/mig-{name}-{columns or 'pipe'}.txt", without_styles(result.stdout))


def test_a_plan_names_the_pods_that_use_what_must_go_and_destroys_idle_devices_first(tmp_path: Path) -> None:
    socket = tmp_path / "k.sock"
    server = serve_pods(socket, train=SMALL)
    server.start()
    try:
        result = run("plan", "-f", "-", "one-small", "--pod-resources-socket", str(socket), stdin=ONE_SMALL)
        all_gone = run("plan", "all-disabled", "--pod-resources-socket", str(socket))
        listed = run("list", "--devices", "--pod-resources-socket", str(socket))
    finally:
        server.stop()
    assert "in use" not in result.stdout
    assert "1g.10gb of GPU 6 (" in all_gone.stdout
    assert ") is in use by ml/train." in all_gone.stdout
    assert [line for line in listed.stdout.splitlines() if "ml/train" in line] == [
        f"6     1g.10gb      3        ml/train   {SMALL}"
    ]


ONE_SMALL = "{version: v1, mig-configs: {one-small: [{devices: [6], mig-enabled: true, mig-devices: {1g.10gb: 1}}]}}"


def test_unknown_pods_are_a_note(tmp_path: Path) -> None:
    result = run("list", "--pod-resources-socket", str(tmp_path / "absent.sock"))
    assert result.exit_code == 0
    assert "The users of the MIG devices are not known: " in result.stdout


def test_an_exported_layout_is_asserted(tmp_path: Path) -> None:
    file = tmp_path / "layout.yaml"
    file.write_text(run("export").stdout)
    result = run("assert", "-f", str(file), "current")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "The layouts of 8 GPUs are the requested ones."


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_the_documents_have_layouts_and_changes(output: str) -> None:
    load = json.loads if output == "json" else yaml.safe_load
    gpu = load(run("list", "-o", output).stdout)["gpus"][6]
    assert (gpu["index"], gpu["migEnabled"], gpu["freeSlices"], gpu["roomFor"]) == (6, True, [], {})
    assert {"gpuInstance", "profile", "placement", "devices"} == set(gpu["instances"][0])
    plan = load(run("plan", "all-balanced", "-o", output).stdout)
    assert (plan["config"], plan["isApplied"]) == ("all-balanced", False)
    assert [change["action"] for change in plan["changes"] if change["gpu"] == 6] == [
        "destroy",
        "create",
        "retain",
        "retain",
        "retain",
    ]


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_names_are_printed_as_a_config_file(output: str, tmp_path: Path) -> None:
    file = tmp_path / "generated.yaml"
    file.write_text(run("names", "-o", output).stdout)
    assert run("names", "-f", str(file), "-o", "name").stdout == run("names", "-o", "name").stdout


def test_a_config_of_a_file_replaces_a_generated_one(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(CONFIG)
    rows = {line.split()[0]: line for line in run("names", "-f", str(file)).stdout.splitlines()}
    assert rows["all-balanced"].endswith("MIG disabled")
    assert rows["team-a"].split(maxsplit=2)[1:] == ["6-7", "1x 1g.10gb+me, 1x 3g.40gb"]


def test_the_environment_names_of_mig_parted_select_file_and_config(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(CONFIG)
    result = run("plan", MIG_PARTED_CONFIG_FILE=str(file), MIG_PARTED_SELECTED_CONFIG="team-a")
    assert "2 of 2 GPUs change: 4 MIG devices to destroy, 0 to create, and 4 to retain." in result.stdout


@pytest.mark.parametrize(
    ("arguments", "stdin", "problem"),
    [
        (("plan", "all-1g.12gb"), "", "the MIG config 'all-1g.12gb' does not exist (did you mean all-1g.20gb?)"),
        (("assert", "-f", "-", "x"), "version: v2", "-: version: must be v1"),
        (("plan", "-f", "/absent", "x"), "", "/absent: does not exist"),
        (
            ("assert", "--valid-config", "-f", "-", "x"),
            "{version: v1, mig-configs: {x: [{devices: all, mig-enabled: true, mig-devices: {3g.40gb: 3}}]}}",
            "NVIDIA H100 80GB HBM3 (These would fit: 2x 3g.40gb)",
        ),
        (
            ("plan", "-f", "-", "x"),
            "{version: v1, mig-configs: {x: [{devices: [8], mig-enabled: false}]}}",
            "selects GPU 8, which does not exist or does not support MIG",
        ),
    ],
    ids=["unknown name", "invalid file", "absent file", "too many devices", "absent GPU"],
)
def test_a_wrong_config_is_a_usage_error(arguments: tuple[str, ...], stdin: str, problem: str) -> None:
    result = run(*arguments, stdin=stdin)
    assert result.exit_code == 2
    assert problem in result.stderr


def test_every_gpu_that_cannot_have_the_layout_is_a_problem() -> None:
    text = "{version: v1, mig-configs: {x: [{devices: [0, 6], mig-enabled: true, mig-devices: {3g.40gb: 3}}]}}"
    assert len(run("plan", "-f", "-", "x", stdin=text).stderr.splitlines()) == 2


def test_a_valid_config_needs_not_be_applied() -> None:
    result = run("assert", "--valid-config", "all-balanced")
    assert (result.exit_code, result.stdout) == (0, "")


def test_a_node_without_mig_is_an_error() -> None:
    result = run("list", simulate="t4x1")
    assert result.exit_code == 1
    assert result.stderr == "gpunode mig list: this node has no GPU that supports MIG\n"


def test_a_released_driver_is_not_opened(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "release.d"
    folder.mkdir(parents=True)
    (folder / "by-hand-1").write_text("10m")
    result = run("list")
    assert result.exit_code == 1
    assert "NVML is released" in result.stderr
