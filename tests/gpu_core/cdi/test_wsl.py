"""The CDI device under WSL 2."""

from gpu_core.host.device_nodes import DeviceNodes
from node_core.values import replace
from tests.gpu_core.cdi.conftest import CUT, WHOLE, LoadNode
from tests.gpu_core.cdi.specs import devices_of


def test_under_wsl_each_gpu_maps_to_the_device_all(load_node: LoadNode) -> None:
    node = load_node("wsl")
    plan = node.plan()
    assert devices_of(plan).keys() == {"all"}
    assert plan.names["gpu"] == {"all": "all", WHOLE: "all", CUT: "all"}
    assert replace(node, nodes=DeviceNodes()).plan().notes == (
        "No CDI specification for gpu: the device node /dev/dxg does not exist.",
    )
