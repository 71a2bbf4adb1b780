"""Specifications of optional devices."""

import pytest

from tests.gpu_core.cdi.conftest import LoadNode
from tests.gpu_core.cdi.specs import without


@pytest.mark.parametrize(
    ("option", "cls", "paths"),
    [
        ("gdrcopy", "gdrcopy", ["/dev/gdrdrv"]),
        ("gds", "gds", ["/dev/nvidia-fs0", "/dev/nvidia-fs1"]),
        ("mofed", "mofed", ["/dev/infiniband/rdma_cm", "/dev/infiniband/uverbs0"]),
    ],
)
def test_an_optional_class_has_a_specification_if_its_device_nodes_exist(
    option: str, cls: str, paths: list[str], load_node: LoadNode
) -> None:
    node = load_node("rhel").with_options(**{option: True})
    plan = node.plan()
    (device,) = plan.specs[f"k8s.device-plugin.nvidia.com-{cls}.json"].devices
    assert sorted(each.path for each in device.edits.device_nodes) == paths
    assert plan.names[cls] == {"all": "all"}
    bare = without(node, *paths).plan()
    assert cls not in bare.names
    assert any(note.startswith(f"No CDI specification for {cls}: ") for note in bare.notes)


def test_an_imex_channel_without_a_device_node_is_omitted(load_node: LoadNode) -> None:
    plan = load_node("k3s").with_options(imex_channels=(0, 7)).plan()
    assert plan.names["imex-channel"] == {"0": "0"}
    assert (
        "IMEX channel 7 has no CDI device: the device node /dev/nvidia-caps-imex-channels/channel7 does not exist."
        in plan.notes
    )
