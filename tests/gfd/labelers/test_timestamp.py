"""The timestamp label."""

from dataclasses import replace

from gfd.labelers import labels
from tests.gfd.labelers.inventories import OPTIONS, gpu, node


def test_the_timestamp_is_optional() -> None:
    assert "nvidia.com/gfd.timestamp" not in labels(node(gpu(0)), replace(OPTIONS, timestamp=None))
