"""The timestamp label."""

from gfd.labelers import labels
from node_core.values import replace
from tests.gfd.labelers.inventories import OPTIONS, gpu, node


def test_the_timestamp_is_optional() -> None:
    assert "nvidia.com/gfd.timestamp" not in labels(node(gpu(0)), replace(OPTIONS, timestamp=None))
