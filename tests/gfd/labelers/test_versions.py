"""The labels of the driver version and the CUDA version."""

import pytest

from gpu_core.domain.inventory import Driver
from node_core.values import replace
from tests.gfd.labelers.inventories import DRIVER, gpu, labels_below, node


@pytest.mark.parametrize(
    ("version", "new", "old"),
    [
        (
            "550.54.15",
            {"major": "550", "minor": "54", "revision": "15", "full": "550.54.15"},
            {"major": "550", "minor": "54", "rev": "15"},
        ),
        (
            "550.54",
            {"major": "550", "minor": "54", "revision": "", "full": "550.54"},
            {"major": "550", "minor": "54", "rev": ""},
        ),
        ("550", {"major": "550", "full": "550"}, {"major": "550"}),
        (
            "550.54.15.01",
            {"major": "550", "minor": "54", "revision": "15", "full": "550.54.15.01"},
            {"major": "550", "minor": "54", "rev": "15"},
        ),
        ("", {}, {}),
        ("R550 (beta)", {"major": "550", "full": "R550-beta"}, {"major": "550"}),
        (
            "580.82.07-open",
            {"major": "580", "minor": "82", "revision": "07", "full": "580.82.07-open"},
            {"major": "580", "minor": "82", "rev": "07"},
        ),
        (
            "unknown.unknown.unknown",
            dict.fromkeys(("major", "minor", "revision"), "unknown") | {"full": "unknown.unknown.unknown"},
            dict.fromkeys(("major", "minor", "rev"), "unknown"),
        ),
    ],
)
def test_a_driver_version_is_split_under_the_new_and_the_older_names(
    version: str, new: dict[str, str], old: dict[str, str]
) -> None:
    inventory = node(gpu(0), driver=Driver(version=version, cuda=None))
    assert labels_below("cuda.driver-version.", inventory) == new
    assert labels_below("cuda.driver.", inventory) == old


def test_without_a_cuda_version_there_are_no_runtime_labels() -> None:
    assert labels_below("cuda.runtime-version.", node(gpu(0))) == {"major": "12", "minor": "4", "full": "12.4"}
    assert labels_below("cuda.runtime.", node(gpu(0))) == {"major": "12", "minor": "4"}
    assert labels_below("cuda.runtime", node(gpu(0), driver=replace(DRIVER, cuda=None))) == {}
