"""What is found beside the GPUs, on hosts that are composed as folders."""

import os
from pathlib import Path

import pytest

from device_plugin.health.facts import read_facts
from node_core.domain.inventory import Inventory
from node_core.domain.verdict import NodeFacts, Offered, Reason, judge
from node_core.errors import NvmlError
from node_core.host.root import HostRoot

GPU = "sys/bus/pci/devices/0000:17:00.0"
NOT_LOADED = NvmlError("nvmlInit_v2", "DRIVER_NOT_LOADED")
NO_LIBRARY = NvmlError("nvmlInit_v2", "LIBRARY_NOT_FOUND")


class Host:
    """A root to be filled."""

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
        return judge(self.facts(error), inventory, Offered()).reason


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "root")


def test_an_empty_host_has_no_gpu(host: Host) -> None:
    assert host.reason(None) is Reason.NO_GPU
    assert host.reason(NOT_LOADED) is Reason.NO_GPU


def test_a_gpu_without_driver(host: Host) -> None:
    assert host.gpu().reason(NO_LIBRARY) is Reason.NO_DRIVER
    assert host.facts(NOT_LOADED).gpus_on_pci


def test_a_driver_without_library(host: Host) -> None:
    assert host.gpu().module().reason(NO_LIBRARY) is Reason.NO_LIBRARY


def test_a_driver_without_device_nodes(host: Host) -> None:
    assert host.gpu().module().reason(NOT_LOADED) is Reason.NO_NODES


def test_a_driver_that_is_all_there_and_fails(host: Host) -> None:
    assert host.gpu().module().node().reason(NvmlError("nvmlInit_v2", "UNKNOWN")) is Reason.NVML_FAILS
    assert host.reason(NvmlError("nvmlInit_v2", "LIB_RM_VERSION_MISMATCH")) is Reason.MISMATCH


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_node_that_may_not_be_opened(host: Host, tmp_path: Path) -> None:
    host.gpu().module().node()
    (tmp_path / "root/dev/nvidiactl").chmod(0)
    assert host.reason(NvmlError("nvmlInit_v2", "UNKNOWN")) is Reason.NO_PERMISSION


def test_a_driver_that_hangs_is_not_touched_again(host: Host) -> None:
    facts = host.gpu().module().node().facts(NvmlError("NVML", "TIMEOUT"))
    assert facts.may_open is None
    assert host.reason(NvmlError("NVML", "TIMEOUT")) is Reason.HANGS


def test_what_is_not_shown_to_us_is_not_known(tmp_path: Path) -> None:
    facts = read_facts(HostRoot(tmp_path), None, NOT_LOADED)
    assert (facts.gpus_on_pci, facts.module, facts.control_node, facts.may_open) == (None, None, None, None)
    assert read_facts(HostRoot(tmp_path), HostRoot(tmp_path / "nowhere"), NOT_LOADED).control_node is None


def test_a_node_of_any_kind_stops_nobody(host: Host, tmp_path: Path) -> None:
    node = tmp_path / "root/dev/nvidiactl"
    node.mkdir()
    assert host.gpu().module().facts(NOT_LOADED).may_open is None
    node.rmdir()
    os.mkfifo(node)
    assert host.facts(NOT_LOADED).may_open
