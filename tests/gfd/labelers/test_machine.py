"""The label of the machine type."""

import pytest

from node_core.values import replace
from tests.gfd.labelers.inventories import OPTIONS, gpu, labels_below, node


@pytest.mark.parametrize(
    ("machine", "value"),
    [("DGX H100", "DGX-H100"), ("  PowerEdge (R760xa)\n", "PowerEdge-R760xa"), ("", "unknown"), ("(?)", "unknown")],
)
def test_the_machine_is_sanitised(machine: str, value: str) -> None:
    assert labels_below("gpu.machine", node(gpu(0)), replace(OPTIONS, machine=machine)) == {"": value}
