"""The file with the MIG state of a simulated node: processes share the file, and its content survives them."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest

from gpu_core.mig.model import MigGpu, Placement
from gpu_core.nvml.mig_reader import read_mig_gpus
from node_core.errors import MigError, NvmlError, SettingsError
from simulation.node import SimulatedNode
from simulation.scenarios.scenario import parse_scenario
from tests.unprivileged import unprivileged

A100 = {"model": "NVIDIA A100-SXM4-40GB", "count": 2, "memory": "40960Mi", "compute": "8.0", "device_id": "20b0"}
ON, OFF = {"mode": "enabled"}, {"mode": "disabled"}
ROOT = Path(__file__).parent.parent.parent.parent


def node(path: Path | None, mig: dict[str, Any] = ON, **more: Any) -> SimulatedNode:
    """The node as another process opens it."""
    shared = {} if path is None else {"mig_state": str(path)}
    file = {"driver": {"version": "570.1"}, "gpus": [{**A100, "mig": mig, **more}], **shared}
    return SimulatedNode(parse_scenario("shared", file, source="test"))


def create(node: SimulatedNode, start: int, gpu: int = 0) -> str:
    """Creates a MIG device 1g.5gb and returns its UUID."""
    with node.open_nvml() as nvml:
        device = nvml.device_get_handle_by_index(gpu)
        profile = nvml.device_get_gpu_instance_profile_info(device, 0)
        instance = nvml.device_create_gpu_instance(device, profile.id, Placement(start=start, size=1))
        part = nvml.gpu_instance_get_compute_instance_profile_info(instance, 0)
        nvml.gpu_instance_create_compute_instance(instance, part.id)
    return uuids(node, gpu)[-1]


def gpus(node: SimulatedNode) -> tuple[MigGpu, ...]:
    with node.open_nvml() as nvml:
        found, faults = read_mig_gpus(nvml)
    assert faults == ()
    return found


def uuids(node: SimulatedNode, gpu: int = 0) -> list[str]:
    return [str(part.uuid) for instance in gpus(node)[gpu].instances for part in instance.compute]


def request_mode(node: SimulatedNode, *, enabled: bool) -> str | None:
    with node.open_nvml() as nvml:
        return nvml.device_set_mig_mode(nvml.device_get_handle_by_index(0), enabled)


def modes(node: SimulatedNode) -> tuple[bool, bool]:
    first = gpus(node)[0]
    return first.is_enabled, first.is_pending


def test_processes_of_a_node_share_the_file_and_read_it_again_after_each_change(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "mig.json"
    one, other = node(path), node(path)
    with other.open_nvml() as nvml:
        events, device = nvml.event_set_create(), nvml.device_get_handle_by_index(0)
        nvml.device_register_events(device, nvml.device_get_supported_event_types(device), events)
        created = [create(one, 0), create(one, 3)]
        assert uuids(other) == created
        event = nvml.event_set_wait(events, 0)
        assert event is not None
        assert event.device is device
    assert uuids(other, gpu=1) == []
    assert uuids(node(path)) == created


def test_without_a_file_each_process_has_its_own_state() -> None:
    one, other = node(None), node(None)
    create(one, 0)
    assert len(uuids(one)) == 1
    assert uuids(other) == []


def test_a_removed_file_is_a_reboot(tmp_path: Path) -> None:
    path = tmp_path / "mig.json"
    create(node(path), 0)
    path.unlink()
    assert uuids(node(path)) == []
    assert modes(node(path)) == (True, True)


CHILD = """
import os, signal
from pathlib import Path
from tests.simulation.nvml.test_mig_states import create, node
shared = node(Path({path!r}))
create(shared, 0)
with shared._mig_states.session(), shared._mig_states.lock():
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_state_survives_a_killed_process_and_its_locks_do_not(tmp_path: Path) -> None:
    path = tmp_path / "mig.json"
    done = subprocess.run([sys.executable, "-c", CHILD.format(path=str(path))], cwd=ROOT, check=False, timeout=50)
    assert done.returncode == -signal.SIGKILL
    shared = node(path)
    assert len(uuids(shared)) == 1
    create(shared, 1)
    shared.reset_gpus(gpus(shared)[:1])
    assert uuids(shared) == []


def test_changes_at_the_same_time_are_all_in_the_file(tmp_path: Path) -> None:
    path, start = tmp_path / "mig.json", Barrier(4)

    def change(gpu: int, at: int) -> None:
        own = node(path)
        start.wait()
        create(own, at, gpu)

    threads = [Thread(target=change, args=(gpu, at)) for gpu in (0, 1) for at in (0, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [uuids(node(path), gpu) for gpu in (0, 1)]
    assert [len(each) for each in found] == [2, 2]
    assert len({uuid for each in found for uuid in each}) == 4


@pytest.mark.parametrize("path", [None, "mig.json"], ids=["in memory", "in a file"])
def test_a_reset_makes_the_pending_mode_current(path: str | None, tmp_path: Path) -> None:
    shared = node(None if path is None else tmp_path / path, mig=OFF)
    assert request_mode(shared, enabled=True) == "RESET_REQUIRED"
    assert modes(shared) == (False, True)
    shared.reset_gpus(gpus(shared)[:1])
    assert modes(shared) == (True, True)
    assert [gpu.is_enabled for gpu in gpus(shared)] == [True, False]
    created = create(shared, 0)
    shared.reset_gpus(gpus(shared)[1:])
    assert uuids(shared) == [created]


@pytest.mark.parametrize("path", [None, "mig.json"], ids=["in memory", "in a file"])
def test_a_gpu_cannot_be_reset_while_nvml_is_open(path: str | None, tmp_path: Path) -> None:
    shared = node(None if path is None else tmp_path / path, mig=OFF)
    request_mode(shared, enabled=True)
    found = gpus(shared)
    other = shared if path is None else node(tmp_path / path, mig=OFF)
    with other.open_nvml(), other.open_nvml(), pytest.raises(MigError, match="in use"):
        shared.reset_gpus(found)
    assert modes(shared) == (False, True)


def test_a_gpu_cannot_be_reset_while_a_process_uses_it() -> None:
    busy = node(None, mig=OFF, use={"processes": [{"pid": 7}]})
    with pytest.raises(MigError, match="in use"):
        busy.reset_gpus(gpus(busy))


def code_and_hint(call: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(NvmlError) as raised:
        call()
    return raised.value.code, raised.value.hint or ""


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"0": 1}', b"\xff\xfe", b'{"0": {"before": null}}'])
def test_a_file_that_is_not_a_state_is_an_error_with_its_path(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mig.json"
    path.write_bytes(text)
    with node(path).open_nvml() as nvml:
        device = nvml.device_get_handle_by_index(0)
        code, hint = code_and_hint(lambda: nvml.device_get_mig_mode(device))
    assert code == "UNKNOWN"
    assert str(path) in hint
    assert "Remove the file" in hint


def test_a_file_that_cannot_be_read_or_written_is_an_error_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mig.json"
    path.mkdir()  # permissions do not apply to root
    with node(path).open_nvml() as nvml:
        device = nvml.device_get_handle_by_index(0)
        assert code_and_hint(lambda: nvml.device_get_mig_mode(device)) == ("NO_PERMISSION", f"{path}: Is a directory")
    file = tmp_path / "file"
    file.touch()
    inside = node(file / "mig.json")
    code, hint = code_and_hint(lambda: inside.open_nvml().__enter__())
    assert (code, str(file) in hint) == ("NO_PERMISSION", True)


def test_a_process_that_may_only_read_the_folder_reads_the_gpus() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "mig.json"
        with unprivileged(), node(path).open_nvml() as nvml:
            device = nvml.device_get_handle_by_index(0)
            assert nvml.device_get_mig_mode(device)
            refused = code_and_hint(lambda: nvml.device_set_mig_mode(device, enabled=False))
    assert refused == ("NO_PERMISSION", f"{path}.lock: Permission denied")


def test_a_process_that_may_not_write_the_file_is_counted_if_another_process_has_created_it() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        shared, other = node(Path(folder) / "mig.json"), node(Path(folder) / "mig.json")
        found = gpus(shared)
        with ExitStack() as stack:
            with unprivileged():
                stack.enter_context(other.open_nvml())
            with pytest.raises(MigError, match="in use"):
                shared.reset_gpus(found)
        shared.reset_gpus(found)


@pytest.mark.parametrize("path", ["", "mig.json", "/", "/run/", "/run/\0"])
def test_the_path_of_the_file_is_absolute(path: str) -> None:
    with pytest.raises(SettingsError, match=r"mig_state.*absolute path"):
        parse_scenario("relative", {"mig_state": path}, source="test")
