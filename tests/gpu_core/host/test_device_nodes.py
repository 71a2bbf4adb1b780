"""Reading device nodes and the DRM nodes in sysfs."""

import os
import stat
from pathlib import Path

import pytest

from gpu_core.host.device_nodes import DeviceNodes, HostNode, read_device_nodes, read_node
from node_core.domain.pci import PciAddress
from node_core.host.root import HostRoot
from tests.roots.drivers.layout import lay_out, lay_out_tree, read_composed_node

ADDRESS = PciAddress("0000:17:00.0")


def read(root: Path, *others: str) -> DeviceNodes:
    host = HostRoot(root)
    return read_device_nodes(host, host, addresses=[ADDRESS], others=others, read=read_composed_node)


def test_the_nodes_of_a_host_are_read(tmp_path: Path) -> None:
    nodes = read(lay_out_tree("devices", tmp_path))
    assert nodes.nodes["/dev/nvidia0"] == HostNode(major=195, minor=0, mode=0o666)
    assert nodes.nodes["/dev/dri/renderD128"] == HostNode(major=226, minor=128, mode=0o660, gid=105)
    assert "/dev/nvidia-caps/nvidia-cap156" in nodes.nodes
    assert nodes.drm == {ADDRESS: ("/dev/dri/card1", "/dev/dri/renderD128")}
    assert nodes.by_path["pci-0000:17:00.0-card"] == "/dev/dri/card1"
    assert nodes.caps.node("gpu1/gi2/access") == "/dev/nvidia-caps/nvidia-cap156"
    assert nodes.problems == ()


def test_additional_paths_are_read_only_on_request(tmp_path: Path) -> None:
    lay_out_tree("devices", tmp_path)
    assert "/dev/null" not in read(tmp_path).nodes
    assert "/dev/null" in read(tmp_path, "/dev/null", "/dev/missing").nodes


def test_a_host_without_devices_has_no_nodes(tmp_path: Path) -> None:
    assert read(tmp_path) == DeviceNodes(drm={ADDRESS: ()})


@pytest.mark.parametrize("target", ["/dev/nvidia0", "../../sda", "card0", "../dri/card0"])
def test_a_link_to_another_folder_is_ignored(target: str, tmp_path: Path) -> None:
    lay_out(tmp_path, f"/dev/dri/by-path/pci-0000:17:00.0-card -> {target}")
    lay_out(tmp_path, "/dev/dri/by-path/pci-0000:18:00.0-card = no link")
    assert read(tmp_path).by_path == {}


def test_a_failed_read_is_a_problem_and_does_not_affect_other_nodes(tmp_path: Path) -> None:
    lay_out_tree("devices", tmp_path)
    (tmp_path / "proc/driver/nvidia-caps/mig-minors").unlink()
    lay_out(tmp_path, "/proc/driver/nvidia-caps/mig-minors/")
    (tmp_path / "dev/infiniband/rdma_cm").unlink()
    nodes = read(tmp_path)
    assert "/dev/nvidia0" in nodes.nodes
    assert len(nodes.problems) == 1
    assert "mig-minors" in nodes.problems[0]


def test_only_character_devices_are_nodes(tmp_path: Path) -> None:
    lay_out(tmp_path, "/file = ")
    (tmp_path / "link").symlink_to("/dev/null")
    assert [read_node(tmp_path / name) for name in ("file", "link", "missing", ".")] == [None] * 4


def test_a_node_has_device_numbers_and_a_mode() -> None:
    status = Path("/dev/null").lstat()
    mode = stat.S_IMODE(status.st_mode)
    assert read_node(Path("/dev/null")) == HostNode(major=1, minor=3, mode=mode, gid=status.st_gid)
    assert os.major(status.st_rdev) == 1


def test_a_folder_of_nodes_that_is_a_link_is_ignored(tmp_path: Path) -> None:
    outside = tmp_path / "host" / "dev"
    outside.mkdir(parents=True)
    root = tmp_path / "root"
    (root / "dev").mkdir(parents=True)
    for place in (outside / "mem", root / "dev" / "nvidia0"):
        place.write_text("1:1 666")
    for name in ("dri", "infiniband"):
        (root / "dev" / name).symlink_to(outside)
    found = read_device_nodes(HostRoot(root), HostRoot(root), read=read_composed_node)
    assert set(found.nodes) == {"/dev/nvidia0"}
