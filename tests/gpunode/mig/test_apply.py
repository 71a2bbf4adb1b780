"""`gpunode mig apply` on simulated GPUs whose layouts outlive the command."""

import json
import os
import signal
from pathlib import Path

import pytest

from gpunode.mig.apply import SIGNALS, ignore_signals
from mig_manager.journal import Journal, journal_path
from node_core.runtime.instance_lock import InstanceLock
from tests.gpunode.mig.places import A100, H100, MigPlace, serve_pods

SMALL = {**H100, "mig": {"mode": "enabled", "instances": ["1g.10gb", "1g.10gb", "3g.40gb"]}}
OFF = {**H100, "mig": {"mode": "disabled"}}
BALANCED = {"1g.10gb": 2, "2g.20gb": 1, "3g.40gb": 1}


@pytest.fixture
def place(tmp_path: Path) -> MigPlace:
    return MigPlace(folder=tmp_path)


def devices(place: MigPlace, gpu: int = 0) -> dict[str, str]:
    """UUID -> name of the MIG devices of a GPU."""
    found = json.loads(place.run("list", "-o", "json").stdout)["gpus"][gpu]
    return {each["uuid"]: each["device"] for instance in found["instances"] for each in instance["devices"]}


def test_an_applied_layout_is_asserted_and_devices_of_both_layouts_stay(place: MigPlace) -> None:
    place.write_scenario(SMALL, OFF)
    before = devices(place)
    result = place.apply("all-balanced")
    assert (result.exit_code, result.stderr) == (0, "")
    assert place.run("assert", "all-balanced").exit_code == 0
    after = devices(place)
    assert before.items() <= after.items()
    assert sorted(after.values()) == sorted(devices(place, 1).values()) == ["1g.10gb", "1g.10gb", "2g.20gb", "3g.40gb"]


def test_the_second_apply_changes_nothing(place: MigPlace) -> None:
    place.write_scenario(SMALL)
    place.apply("all-balanced")
    before = devices(place)
    result = place.apply("all-balanced")
    assert result.stdout == "The GPUs have the requested layouts. Nothing was changed.\n"
    assert devices(place) == before


def test_a_gpu_that_needs_a_reset_for_the_mode_is_reset(place: MigPlace) -> None:
    place.write_scenario({**A100, "mig": {"mode": "disabled"}})
    assert place.apply("all-1g.5gb").exit_code == 0
    assert list(devices(place).values()) == ["1g.5gb"] * 7
    assert place.apply("all-disabled").exit_code == 0
    assert devices(place) == {}


def test_nothing_is_changed_while_a_pod_has_a_device_that_must_go(place: MigPlace, tmp_path: Path) -> None:
    place.write_scenario(SMALL)
    before = devices(place)
    large = next(uuid for uuid, name in before.items() if name == "3g.40gb")
    server = serve_pods(tmp_path / "k.sock", train=large)
    server.start()
    try:
        result = place.apply("all-1g.10gb", "--pod-resources-socket", str(tmp_path / "k.sock"))
    finally:
        server.stop()
    assert result.exit_code == 1
    assert result.stderr == (
        f"gpunode mig apply: nothing was changed: pod ml/train uses {large} (end these users, and run the command again)\n"
    )
    assert devices(place) == before


def test_nothing_is_destroyed_while_the_pods_are_unknown(place: MigPlace, tmp_path: Path) -> None:
    place.write_scenario(SMALL)
    before = devices(place)
    result = place.apply("all-disabled", "--pod-resources-socket", str(tmp_path / "absent.sock"))
    assert result.exit_code == 1
    assert devices(place) == before


def test_a_failed_change_restores_the_previous_layout(place: MigPlace) -> None:
    place.write_scenario(SMALL, faults=[{"at": 0, "kind": "fails", "call": CREATE, "result": "INSUFFICIENT_RESOURCES"}])
    before = devices(place)
    result = place.apply("-f", "-", "x", stdin=ONE_MORE)
    assert result.exit_code == 1
    assert "the previous layout is restored" in result.stderr
    assert devices(place) == before


CREATE = "nvmlDeviceCreateGpuInstanceWithPlacement"
ONE_MORE = "{version: v1, mig-configs: {x: [{devices: all, mig-enabled: true, mig-devices: {3g.40gb: 1, 1g.10gb: 3}}]}}"


def test_the_command_refuses_a_node_with_mig_manager(place: MigPlace, tmp_path: Path) -> None:
    place.write_scenario(SMALL)
    lock = InstanceLock(tmp_path / "run", "mig-manager", "gpu-1")
    lock.acquire()
    try:
        result = place.apply("all-balanced")
    finally:
        lock.release()
    assert result.exit_code == 1
    assert "mig-manager runs on this node" in result.stderr
    assert "kubectl label node NODE nvidia.com/mig.config=CONFIG" in result.stderr


def test_only_one_process_of_the_machine_changes_layouts_at_a_time(place: MigPlace, tmp_path: Path) -> None:
    place.write_scenario(SMALL)
    with Journal(journal_path(tmp_path / "state", is_simulated=True)).lock():
        result = place.apply("all-balanced")
    assert (result.exit_code, "another process changes MIG layouts" in result.stderr) == (1, True)
    assert place.apply("all-balanced").exit_code == 0


def test_a_config_that_is_not_possible_is_a_usage_error(place: MigPlace) -> None:
    place.write_scenario(SMALL)
    assert place.apply("all-1g.12gb").exit_code == 2


def test_signals_do_not_end_a_change_and_have_their_effect_afterwards(place: MigPlace) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with ignore_signals(), ignore_signals():
        for number in SIGNALS:
            os.kill(os.getpid(), number)
    place.write_scenario(SMALL)
    place.apply("all-balanced")
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_a_hook_that_fails_prevents_the_change(place: MigPlace, tmp_path: Path) -> None:
    place.write_scenario(SMALL)
    before = devices(place)
    hooks = tmp_path / "hooks.yaml"
    hooks.write_text("{version: v1, hooks: {pre-apply-config: [{command: /bin/false}]}}")
    result = place.apply("all-balanced", "--hooks-file", str(hooks))
    assert result.exit_code == 1
    assert "the hook pre-apply-config, /bin/false, failed" in result.stderr
    assert devices(place) == before
