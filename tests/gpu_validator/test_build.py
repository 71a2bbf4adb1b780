"""Where the validator finds the driver, its device nodes and libcuda."""

import fcntl
import os
import platform
import time
from pathlib import Path
from unittest.mock import Mock

import pytest

from dra_driver.agent import NAME as DRIVER
from gpu_core.assembly import Dependencies
from gpu_validator.build import Host, may_have_kubelet
from gpu_validator.container import CONTAINER_LOCK, SECONDS
from gpu_validator.files import DriverPlace
from gpu_validator.kubelet import NodeState
from gpu_validator.sandbox import ContainerRun, find_socket
from gpu_validator.settings import ValidatorSettings
from node_core.errors import KubeletError
from node_core.host.flock import open_locked
from node_core.host.root import HostRoot
from node_core.runtime.instance_lock import instance_lock_path
from node_core.runtime.settings import CommonSettings
from node_core.values import replace
from tests.gpu_validator.runtime import FakeRuntime
from tests.roots.drivers.layout import lay_out, lay_out_all

CONTAINER = "/run/nvidia/driver"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    dependencies = Dependencies(replace(CommonSettings(), host_root=tmp_path), "gpu-validator", tmp_path)
    return Host(ValidatorSettings(), dependencies)


def put_driver(root: Path, folder: str, version: str) -> None:
    library = f"{folder}/usr/lib64/libcuda.so"
    lay_out_all(root, f"{library}.{version} library {platform.machine()}", f"{library}.1 -> libcuda.so.{version}")
    lay_out(root, f"{folder}/dev/nvidiactl node 195:255 666")


def test_the_driver_is_found_at_each_call_on_the_host_or_in_a_driver_container(host: Host, tmp_path: Path) -> None:
    put_driver(tmp_path, "", "550.54.15")
    assert (host.place, host.dev) == (DriverPlace(), HostRoot(tmp_path))
    put_driver(tmp_path, CONTAINER, "570.124.06")
    assert host.place == DriverPlace(driver=CONTAINER, dev=CONTAINER)
    assert host.dev == HostRoot(tmp_path / CONTAINER.lstrip("/"))


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has a driver")
def test_the_kernel_runs_in_the_root_of_a_driver_container_whose_device_nodes_only_this_root_has(
    host: Host, tmp_path: Path
) -> None:
    put_driver(tmp_path, CONTAINER, "570.124.06")
    assert host.find_driver() == ("/usr/lib64/libcuda.so.570.124.06", str(tmp_path / CONTAINER.lstrip("/")))


def test_of_two_drivers_libcuda_is_that_of_the_loaded_one(host: Host, tmp_path: Path) -> None:
    put_driver(tmp_path, "", "550.54.15")
    put_driver(tmp_path, CONTAINER, "570.124.06")
    lay_out(tmp_path, "/sys/module/nvidia/version = 550.54.15")
    library, _ = host.find_driver()
    assert library.endswith("/usr/lib64/libcuda.so.550.54.15")


def test_without_a_driver_the_dynamic_linker_searches(host: Host) -> None:
    assert host.find_driver() == ("libcuda.so.1", None)


def test_without_the_right_to_search_folders_the_call_states_why(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a user who is not root: only root may search /var/lib/kubelet."""
    pods = tmp_path / "pod-resources" / "kubelet.sock"
    host = Host(replace(ValidatorSettings(), podresources_socket=pods), host._dependencies)
    monkeypatch.setattr(Path, "stat", Mock(side_effect=PermissionError(13, "Permission denied")))
    assert may_have_kubelet(pods)
    assert find_socket((tmp_path / "a.sock",)) == tmp_path / "a.sock"
    assert host.read_kubelet(NodeState()).error


def hold(path: Path) -> int:
    descriptor = open_locked(path, fcntl.LOCK_EX)
    assert descriptor is not None
    return descriptor


def test_the_driver_for_claims_is_found_by_its_lock_while_it_runs(tmp_path: Path) -> None:
    common = replace(CommonSettings(), host_root=tmp_path, lock_dir=tmp_path)
    host = Host(ValidatorSettings(), Dependencies(common, "gpu-validator", tmp_path))
    assert not host.has_dra_driver()
    lock = hold(instance_lock_path(tmp_path, DRIVER, "n1"))
    assert host.has_dra_driver()
    os.close(lock)
    assert not host.has_dra_driver()


def test_two_validations_of_a_node_run_their_containers_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each one removes the sandboxes of both."""
    common = replace(CommonSettings(), host_root=tmp_path, lock_dir=tmp_path)
    host = Host(
        replace(ValidatorSettings(), runtime_socket=tmp_path / "s"), Dependencies(common, "gpu-validator", tmp_path)
    )
    other = hold(tmp_path / CONTAINER_LOCK)
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        os.close(other)

    monkeypatch.setattr(time, "sleep", wait)
    runtime = FakeRuntime()
    with runtime.serve(tmp_path / "s"):
        end = host.run_container(ContainerRun(name="x", image="i", command=("true",)))
    assert (end.exit_code, len(waits)) == (0, 1)
    os.close(hold(tmp_path / CONTAINER_LOCK))


def test_a_validation_without_end_is_not_awaited_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    common = replace(CommonSettings(), host_root=tmp_path, lock_dir=tmp_path)
    host = Host(ValidatorSettings(), Dependencies(common, "gpu-validator", tmp_path))
    other = hold(tmp_path / CONTAINER_LOCK)
    times = iter((0.0, SECONDS))
    monkeypatch.setattr(time, "monotonic", lambda: next(times))
    with pytest.raises(KubeletError, match="another validation of this node"):
        host.run_container(ContainerRun(name="x", image="i", command=("true",)))
    os.close(other)
