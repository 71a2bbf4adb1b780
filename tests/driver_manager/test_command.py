"""The command line and the exit statuses."""

from pathlib import Path

import pytest

from driver_manager.__main__ import build, command, prepare, run
from driver_manager.settings import driver_settings
from node_core.runtime.command import parse_command
from tests.driver_manager.places import LOADED, Place


def test_the_variables_of_nvidias_driver_manager_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {
        "NODE_NAME": "n1",
        "DRIVER_CONFIG_DIGEST": "abc",
        "ENABLE_GPU_POD_EVICTION": "false",
        "ENABLE_AUTO_DRAIN": "true",
        "DRAIN_USE_FORCE": "true",
        "DRAIN_POD_SELECTOR_LABEL": "a=b",
        "DRAIN_TIMEOUT_SECONDS": "30s",
        "DRAIN_DELETE_EMPTYDIR_DATA": "true",
        "FORCE_REINSTALL": "true",
        "OPERATOR_NAMESPACE": "gpu-operator",
        "NODE_LABEL_FOR_GPU_POD_EVICTION": "",
        "GPU_DIRECT_RDMA_ENABLED": "true",
        "USE_HOST_MOFED": "false",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    values = parse_command(command, [], "x")
    assert values is not None
    settings = driver_settings(values)
    assert (settings.digest, settings.evicts_gpu_pods, settings.drains) == ("abc", False, True)
    assert (settings.force, settings.selector, settings.timeout) == (True, "a=b", 30.0)
    assert (settings.deletes_local_data, settings.force_reinstall) == (True, True)


@pytest.mark.parametrize("zero", ["0", "0s"])
def test_a_timeout_of_zero_is_as_long_as_it_takes(zero: str) -> None:
    values = parse_command(command, ["--drain-timeout-seconds", zero], "x")
    assert values is not None
    assert driver_settings(values).timeout == float("inf")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "the command is missing"),
        (["uninstall_driver"], "--node-name: is missing"),
        (["uninstall", "--node-name=n"], "unexpected argument"),
        (["uninstall_driver", "--node-name=n", "--drain-timeout-seconds=x"], "--drain-timeout-seconds"),
        (["uninstall_driver", "--node-name=n", "--enable-auto-drian=true"], "--enable-auto-drain"),
    ],
)
def test_a_wrong_command_line_ends_with_status_2(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NODE_NAME", raising=False)
    assert run(arguments) == 2
    assert problem in capsys.readouterr().err


def test_the_default_root_of_the_host_is_that_of_a_driver_pod() -> None:
    values = parse_command(command, ["--node-name", "n1"], "x")
    assert values is not None
    assert build(values).root.base == Path("/host")


def test_a_prepared_node_is_status_0(place: Place) -> None:
    assert prepare(place.uninstaller(), is_preflight=False) == 0


def test_a_failed_attempt_is_status_1(place: Place) -> None:
    place.load({"nvidia": 0})
    place.users = ("process 7",)
    assert prepare(place.uninstaller(), is_preflight=False) == 1


@pytest.mark.parametrize("is_preflight", [False, True])
def test_a_driver_of_the_host_is_status_3(place: Place, *, is_preflight: bool) -> None:
    for name in ("usr/lib64/libnvidia-ml.so.1", "usr/bin/nvidia-smi"):
        (place.base / name).parent.mkdir(parents=True)
        (place.base / name).touch()
    assert prepare(place.uninstaller(), is_preflight=is_preflight) == 3


def test_a_preflight_check_changes_nothing(place: Place) -> None:
    place.load(LOADED)
    place.install_container()
    assert prepare(place.uninstaller(), is_preflight=True) == 0
    assert (place.effects, place.loaded, len(place.mounts)) == ([], sorted(LOADED), 3)
    assert (place.run / "nvidia-driver.state").exists()
