"""CDI specifications in the plugin's life: written as the node is, and what answers make of them."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from device_plugin.answers import NodeSoftware, build_answers, choose_lists
from device_plugin.cdi.write import SpecWriter
from device_plugin.devices import Device, DeviceId, Offer
from device_plugin.settings import ResponseSettings
from device_plugin.specs import SpecKeeper, Surroundings
from node_core.domain.inventory import Inventory
from node_core.domain.resources import GPU
from node_core.host.root import HostRoot
from tests.device_plugin.cdi.conftest import MIGS, WHOLE, make_inventory
from tests.roots.drivers.layout import lay_out_tree, read_composed_node

GPU_SPEC = "k8s.device-plugin.nvidia.com-gpu.json"
NEW = NodeSoftware(kubelet="v1.36.3", runtime="containerd://2.1.9")
OLD = NodeSoftware(kubelet="v1.36.3", runtime="containerd://1.7.27")
WHOLE_GPU = Device(id=DeviceId(WHOLE), uuid=WHOLE, index="0", gpu=WHOLE, paths=("/dev/nvidia0",))


class Node:
    """A composed driver below `driver`, with its nodes and the GPUs of the inventory; specs go to `cdi`."""

    def __init__(self, tmp_path: Path, name: str = "debian") -> None:
        self.driver = lay_out_tree(name, tmp_path / "driver")
        lay_out_tree("devices", self.driver)
        self.cdi = tmp_path / "cdi"
        self.inventory = make_inventory("550.54.15")
        self.settings = ResponseSettings(driver_root="/run/nvidia/driver", driver_root_seen=self.driver)
        self.keeper = SpecKeeper(HostRoot(self.driver), SpecWriter(self.cdi), read=read_composed_node)

    def look(self, settings: ResponseSettings | None = None, inventory: Inventory | None = None) -> Surroundings:
        return self.keeper.look(inventory or self.inventory, settings or self.settings)

    @property
    def devices(self) -> list[str]:
        return [device["name"] for device in json.loads((self.cdi / GPU_SPEC).read_text())["devices"]]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_every_gpu_and_mig_device_can_be_asked_for_by_the_name_in_the_spec(node: Node) -> None:
    found = node.look()
    assert found.no_specs is None
    assert node.devices == [WHOLE, *MIGS, "all"]
    assert found.cdi_names["gpu"][WHOLE] == WHOLE
    assert found.dev_root == "/run/nvidia/driver"
    assert "/dev/nvidiactl" in found.control_nodes


def test_auto_is_cdi_where_the_node_can_and_the_environment_elsewhere(node: Node) -> None:
    found = node.look()
    lists, choice = choose_lists(node.settings, NEW, found)
    assert lists == ("cdi-cri",)
    assert choice is not None
    assert "inject CDI devices" in choice.why
    (strategy,) = build_answers(node.settings, lists, found)(GPU, Offer(devices=(WHOLE_GPU,)))
    assert strategy([WHOLE_GPU]).cdi_devices == (f"k8s.device-plugin.nvidia.com/gpu={WHOLE}",)
    assert choose_lists(node.settings, OLD, found)[0] == ("envvar",)
    assert choose_lists(node.settings, NodeSoftware(), found)[0] == ("envvar",)


def test_without_a_driver_auto_is_the_environment_and_says_where_it_looked(node: Node, tmp_path: Path) -> None:
    found = node.look(replace(node.settings, driver_root_seen=tmp_path / "nothing"))
    lists, choice = choose_lists(node.settings, NEW, found)
    assert lists == ("envvar",)
    assert choice is not None
    assert str(tmp_path / "nothing") in choice.why
    assert not (node.cdi / GPU_SPEC).exists()


def test_specs_follow_the_node_and_go_when_nobody_wants_them(node: Node) -> None:
    node.look()
    before = (node.cdi / GPU_SPEC).stat()
    node.look()
    after = (node.cdi / GPU_SPEC).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns), "nothing changed"
    node.look(inventory=replace(node.inventory, gpus=node.inventory.gpus[:1]))
    assert node.devices == [WHOLE, "all"]
    (node.cdi / "vendor.json").write_text("{}")
    found = node.look(replace(node.settings, device_lists=("envvar",)))
    assert [path.name for path in node.cdi.iterdir() if not path.name.startswith(".")] == ["vendor.json"]
    assert found.no_specs == "no CDI specifications are asked for"


def test_a_folder_that_cannot_be_written_is_said_and_nothing_is_asked_for_by_cdi(node: Node) -> None:
    node.cdi.write_text("in the way")
    found = node.look()
    assert any(str(node.cdi) in problem for problem in found.missing)
    assert choose_lists(node.settings, NEW, found)[0] == ("envvar",)
    assert found.cdi_names == {}


def test_a_channel_that_is_asked_for_and_absent_is_said(node: Node) -> None:
    found = node.look(replace(node.settings, imex_channels=(0,)))
    present = os.path.exists(node.driver / "dev/nvidia-caps-imex-channels/channel0")  # noqa: PTH110
    assert (found.imex_channels == (0,)) == present
    (node.driver / "dev/nvidia-caps-imex-channels/channel0").unlink(missing_ok=True)
    found = node.look(replace(node.settings, imex_channels=(0,)))
    assert found.imex_channels == ()
    assert any("IMEX channel 0 is asked for" in sentence for sentence in found.missing)


def test_programs_of_mps_are_those_of_the_driver(node: Node) -> None:
    found = node.look()
    assert found.programs["nvidia-smi"] == node.driver / "usr/bin/nvidia-smi"
    assert found.libraries is not None
    assert str(node.driver) in found.libraries
