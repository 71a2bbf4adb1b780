"""The planned specifications, their omissions and their notes."""

from pathlib import Path

import pytest

from gpu_core.cdi.kinds import qualified_name
from gpu_core.cdi.plan import CdiPlan
from gpu_core.domain.cdi import render_spec
from gpu_core.domain.inventory import Inventory
from gpu_core.host.device_nodes import DeviceNodes
from gpu_core.host.driver_files import DriverFiles
from node_core.values import replace
from tests.gpu_core.cdi.conftest import CTK, LoadNode
from tests.gpu_core.cdi.specs import gpu_spec, without


@pytest.mark.parametrize("hooks", [True, False], ids=["hooks", "no-hooks"])
def test_a_separate_driver_root_gives_containers_the_same_files_as_the_host_root(
    hooks: bool, load_node: LoadNode, tmp_path: Path
) -> None:
    cos = "/home/kubernetes/bin/nvidia"
    hook = {"hook_path": CTK if hooks else None}
    (tmp_path / "driver-root").mkdir()
    host = gpu_spec(load_node("gke-cos").with_options(**hook).plan())
    for tree in ("driver-root", "host"):
        (tmp_path / tree).rename(tmp_path / f"{tree}-before")
    own = gpu_spec(load_node("gke-cos", driver=cos, nested=cos.strip("/")).with_options(**hook).plan())
    assert own == host


def test_every_mounted_file_exists_and_is_not_a_symlink(load_node: LoadNode) -> None:
    node = load_node("debian-12")
    for mount in gpu_spec(node.plan()).edits.mounts:
        path = node.root / mount.host_path.lstrip("/")
        assert path.exists()
        assert path.resolve() == node.root.resolve() / mount.host_path.lstrip("/")


def test_without_devices_there_is_neither_a_specification_nor_a_name(load_node: LoadNode) -> None:
    plan = without(load_node("k3s"), "/dev/nvidia0", "/dev/nvidia1").plan()
    assert (plan.specs, plan.names) == ({}, {})
    assert len(plan.notes) == 3


def test_a_missing_driver_is_reported_with_the_searched_path(load_node: LoadNode) -> None:
    plan = replace(load_node("k3s", driver="/run/nvidia/driver"), driver=DriverFiles()).plan()
    (note,) = plan.notes
    assert plan.specs == {}
    assert (
        "/driver-root, the mount of the host's /run/nvidia/driver, contains no libraries like libcuda.so.<version>"
        in note
    )


def test_a_node_without_gpus_has_no_notes(load_node: LoadNode) -> None:
    node = replace(load_node("k3s"), inventory=Inventory(driver=None, why_empty="there is no NVIDIA driver"))
    assert node.plan() == CdiPlan()
    assert replace(node, driver=DriverFiles(), nodes=DeviceNodes()).plan() == CdiPlan()


def test_unreadable_files_are_reported(load_node: LoadNode) -> None:
    node = load_node("k3s")
    files, nodes = replace(node.driver, problems=("A.",)), replace(node.nodes, problems=("B.",))
    assert {"A.", "B."} < set(replace(node, driver=files, nodes=nodes).plan().notes)


def test_exactly_the_devices_of_the_specifications_can_be_requested(load_node: LoadNode) -> None:
    plan = load_node("rhel").with_options(imex_channels=(0, 7), gdrcopy=True, id_strategy="index").plan()
    devices = [f"{spec.kind}={device.name}" for spec in plan.specs.values() for device in spec.devices]
    assert {qualified_name(cls, name) for cls, names in plan.names.items() for name in names.values()} == set(devices)
    assert "k8s.device-plugin.nvidia.com/gpu=1:0" in devices


@pytest.mark.parametrize("name", ["tegra-l4t", "debian"])
def test_for_a_runtime_that_does_not_read_groups_the_specification_has_no_groups_and_an_older_version(
    name: str, load_node: LoadNode
) -> None:
    node = load_node(name).with_options(gdrcopy=True, gds=True, mofed=True)
    full, plan = node.plan(), node.with_options(groups_reason="containerd://1.7.11 is too old").plan()
    assert "0.7.0" in {render_spec(spec)["cdiVersion"] for spec in full.specs.values()}
    for spec in map(render_spec, plan.specs.values()):
        assert spec["cdiVersion"] <= "0.5.0"
        assert "additionalGids" not in str(spec)
    assert plan.names == full.names
    (note,) = [note for note in plan.notes if "groups" in note]
    assert note.startswith("CDI specifications omit the groups of device nodes: containerd://1.7.11 is too old. ")


def test_groups_that_no_device_node_needs_are_not_reported(load_node: LoadNode) -> None:
    plan = load_node("wsl").with_options(groups_reason="containerd://1.7.11 is too old").plan()
    assert plan.specs
    assert not [note for note in plan.notes if "groups" in note]
