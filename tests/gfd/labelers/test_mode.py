"""The label of the mode."""

import pytest

from node_core.values import replace
from tests.gfd.labelers.inventories import OPTIONS, address, gpu, labels_below, node


@pytest.mark.parametrize(
    ("classes", "mode"),
    [
        (["030200", "030200"], "compute"),
        (["030000", "030000"], "graphics"),
        (["030000", "030200"], "unknown"),
        (["030200"], "unknown"),
        (["038000", "038000"], "unknown"),
        ([], "unknown"),
    ],
)
def test_the_mode_depends_on_the_class_of_every_gpu(classes: list[str], mode: str) -> None:
    known = {address(number): code for number, code in enumerate(classes)}
    assert labels_below("gpu.mode", node(gpu(0), gpu(1)), replace(OPTIONS, pci_classes=known)) == {"": mode}


def test_the_mode_is_unknown_without_an_address_and_absent_without_pci() -> None:
    assert labels_below(
        "gpu.mode", node(gpu(0, address=None)), replace(OPTIONS, pci_classes={address(0): "030200"})
    ) == {"": "unknown"}
    assert labels_below("gpu.mode", node(gpu(0)), replace(OPTIONS, pci_classes=None)) == {}
