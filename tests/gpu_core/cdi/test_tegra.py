"""The CDI device of a Jetson."""

import pytest

from gpu_core.cdi.hook_program import COMPAT, LDCACHE, LINKS
from gpu_core.host.device_nodes import DeviceNodes, HostNode
from gpu_core.host.driver_files import DriverFiles
from gpu_core.host.mig_caps import MigCaps
from node_core.values import replace
from tests.device_plugin.conftest import mig
from tests.gpu_core.cdi.conftest import CTK, LoadNode
from tests.gpu_core.cdi.specs import devices_of, gpu_spec, hooks_of


@pytest.mark.parametrize(("strategy", "name"), [("uuid", "tegra"), ("index", "0")])
def test_the_gpu_of_a_jetson_has_a_name_without_a_uuid(strategy: str, name: str, load_node: LoadNode) -> None:
    node = load_node("tegra-l4t").with_options(id_strategy=strategy, hook_path=CTK)
    plan = node.plan()
    assert devices_of(plan).keys() == {"all", name}
    assert plan.names["gpu"] == {"all": "all", "tegra": name, "tegra-0": name}
    assert hooks_of(gpu_spec(plan)) == [LINKS, COMPAT, LDCACHE]


def test_a_jetson_without_device_nodes_or_file_lists_has_no_specification(load_node: LoadNode) -> None:
    node = load_node("tegra-l4t")
    bare = replace(node, nodes=DeviceNodes()).plan()
    assert bare.specs == {}
    assert bare.notes[0].startswith("No CDI specification for gpu: none of the device nodes in the Jetson's file lists")
    (note,) = replace(node, driver=DriverFiles()).plan().notes
    assert "contains no file lists in /etc/nvidia-container-runtime/host-files-for-container.d" in note


def test_each_mig_device_of_a_jetson_has_its_capability_nodes(load_node: LoadNode) -> None:
    node = load_node("tegra-l4t").with_options(hook_path=CTK)
    minors = {f"gpu0/gi{number}/{name}": minor for number, name, minor in (
        (1, "access", 3), (1, "ci0/access", 4), (2, "access", 5),
    )}  # fmt: skip
    caps = {f"/dev/nvidia-caps/nvidia-cap{minor}": HostNode(major=240, minor=minor, mode=0o666) for minor in (3, 4, 5)}
    nodes = replace(node.nodes, caps=MigCaps(minors=minors), nodes={**node.nodes.nodes, **caps})
    (gpu,) = node.inventory.gpus
    cut = replace(gpu, minor=0, mig_enabled=True, mig_devices=(mig(0, 1, "2g.0gb+gfx"), mig(0, 2, "1g.0gb+me")))
    plan = replace(node, nodes=nodes, inventory=replace(node.inventory, gpus=(cut,))).plan()
    assert devices_of(plan).keys() == {"all", "MIG-0-1"}
    assert plan.names["gpu"] == {"all": "all", "MIG-0-1": "MIG-0-1"}
    paths = {each.path for each in devices_of(plan)["MIG-0-1"].device_nodes}
    assert {"/dev/nvidia-caps/nvidia-cap3", "/dev/nvidia-caps/nvidia-cap4"} < paths
    assert any("MIG-0-2" in note and "does not list its capabilities" in note for note in plan.notes)
