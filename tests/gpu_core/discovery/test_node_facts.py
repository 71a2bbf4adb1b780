"""Facts of hosts that are simulated as folders."""

import os
import tempfile
from pathlib import Path

import pytest

from gpu_core.discovery.node_facts import read_facts
from gpu_core.domain.inventory import Inventory
from gpu_core.domain.node_assessment import DeviceCounts, NodeFacts, Reason, assess_closed_gate, assess_node
from node_core.errors import NvmlError
from node_core.host.root import HostRoot
from tests.unprivileged import unprivileged

GPU = "sys/bus/pci/devices/0000:17:00.0"
NOT_LOADED = NvmlError("nvmlInit_v2", "DRIVER_NOT_LOADED")
NO_LIBRARY = NvmlError("nvmlInit_v2", "LIBRARY_NOT_FOUND")


class Host:
    """An empty host root."""

    def __init__(self, root: Path) -> None:
        self._root = root
        (root / "sys/bus/pci/devices").mkdir(parents=True)
        (root / "sys/module").mkdir()
        (root / "dev").mkdir()

    def gpu(self) -> "Host":
        folder = self._root / GPU
        folder.mkdir()
        ids = {"vendor": "0x10de", "class": "0x030200", "device": "0x2330"}
        for name, value in (ids | {"subsystem_vendor": "0x10de", "subsystem_device": "0x16c1"}).items():
            (folder / name).write_text(f"{value}\n")
        return self

    def module(self) -> "Host":
        (self._root / "sys/module/nvidia").mkdir()
        return self

    def node(self) -> "Host":
        (self._root / "dev/nvidiactl").touch()
        return self

    def facts(self, error: NvmlError | None) -> NodeFacts:
        return read_facts(HostRoot(self._root), HostRoot(self._root), error)

    def reason(self, error: NvmlError | None) -> Reason:
        inventory = Inventory(driver=None) if error is None else None
        return assess_node(self.facts(error), inventory, DeviceCounts()).reason


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "root")


@pytest.mark.parametrize("files", [["etc/nv_tegra_release"], ["dev/dxg", "usr/lib/wsl/lib/libnvidia-ml.so.1"]])
def test_a_gpu_that_is_not_on_the_pci_bus_is_a_gpu(files: list[str], host: Host, tmp_path: Path) -> None:
    """A closed gate is reported only on nodes with a GPU."""
    for file in files:
        (tmp_path / "root" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / file).touch()
    assert host.facts(None).has_gpus
    assert assess_closed_gate(host.facts(None), "no label").reason is Reason.NOT_LABELLED


def test_an_empty_host_has_no_gpu(host: Host) -> None:
    assert host.reason(None) is Reason.NO_GPU
    assert host.reason(NOT_LOADED) is Reason.NO_GPU


def test_a_gpu_without_a_driver(host: Host) -> None:
    assert host.gpu().reason(NO_LIBRARY) is Reason.NO_DRIVER
    assert host.facts(NOT_LOADED).has_gpus


def test_a_kernel_module_without_a_library(host: Host) -> None:
    assert host.gpu().module().reason(NO_LIBRARY) is Reason.NO_LIBRARY


def test_a_driver_without_device_nodes(host: Host) -> None:
    assert host.gpu().module().reason(NOT_LOADED) is Reason.NO_NODES


def test_a_complete_driver_that_fails(host: Host) -> None:
    assert host.gpu().module().node().reason(NvmlError("nvmlInit_v2", "UNKNOWN")) is Reason.NVML_FAILS
    assert host.reason(NvmlError("nvmlInit_v2", "LIB_RM_VERSION_MISMATCH")) is Reason.MISMATCH


def test_a_device_node_without_permission() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        host = Host(folder / "root").gpu().module().node()
        (folder / "root/dev/nvidiactl").chmod(0)
        with unprivileged():
            assert host.reason(NvmlError("nvmlInit_v2", "UNKNOWN")) is Reason.NO_PERMISSION


def test_the_device_node_of_a_driver_that_hangs_is_not_opened(host: Host) -> None:
    facts = host.gpu().module().node().facts(NvmlError("NVML", "TIMEOUT"))
    assert facts.may_open is None
    assert host.reason(NvmlError("NVML", "TIMEOUT")) is Reason.HANGS


def test_facts_that_are_not_visible_are_unknown(tmp_path: Path) -> None:
    facts = read_facts(HostRoot(tmp_path), None, NOT_LOADED)
    assert (facts.has_gpus, facts.module, facts.control_node, facts.may_open) == (None, None, None, None)
    assert read_facts(HostRoot(tmp_path), HostRoot(tmp_path / "nowhere"), NOT_LOADED).control_node is None


def test_a_device_node_of_any_type_does_not_block(host: Host, tmp_path: Path) -> None:
    node = tmp_path / "root/dev/nvidiactl"
    node.mkdir()
    assert host.gpu().module().facts(NOT_LOADED).may_open is None
    node.rmdir()
    os.mkfifo(node)
    assert host.facts(NOT_LOADED).may_open
