"""The check of the device nodes."""

import pytest

from gpu_core.domain.inventory import Platform
from gpu_core.host.device_nodes import DeviceNodes, HostNode
from gpu_validator.check import Verdict
from gpu_validator.device_nodes import check_device_nodes, parse_majors
from tests.gpu_validator.nodes import MAJORS, character, device_nodes, gpu, inventory, mig, with_caps

DEVICES = """Character devices:
  1 mem
195 nvidia
238 nvidia-caps
510 nvidia-uvm

Block devices:
195 other
259 blkext
"""


def test_the_major_numbers_are_those_of_character_devices() -> None:
    assert parse_majors(DEVICES) == {"mem": 1, **MAJORS}
    assert parse_majors("\0 garbage\n") == {}


def test_complete_nodes_pass() -> None:
    check = check_device_nodes(inventory(), device_nodes(), MAJORS)
    assert (check.verdict, check.sentence) == (Verdict.PASSED, "4 device nodes exist")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"nvidia1": None}, "/dev/nvidia1 is missing"),
        ({"nvidia-uvm": None}, "/dev/nvidia-uvm is missing"),
        ({"nvidia-uvm": character(509, 0)}, "/dev/nvidia-uvm has the major number 509, and the driver has 510"),
        ({"nvidia1": character(195, 3)}, "/dev/nvidia1 has the minor number 3 instead of 1"),
        ({"nvidiactl": character(1, 3)}, "/dev/nvidiactl has the major number 1, and the driver has 195"),
    ],
    ids=["gpu", "uvm", "another major", "another minor", "control"],
)
def test_a_missing_node_and_other_numbers_fail(changes: dict[str, HostNode | None], sentence: str) -> None:
    check = check_device_nodes(inventory(), device_nodes(changes=changes), MAJORS)
    assert (check.verdict, check.sentence) == (Verdict.FAILED, sentence)


def test_unknown_major_numbers_are_not_compared() -> None:
    assert (
        check_device_nodes(inventory(), device_nodes(changes={"nvidia-uvm": character(9, 0)}), {}).verdict
        is Verdict.PASSED
    )


def test_many_problems_are_counted() -> None:
    assert check_device_nodes(inventory(*map(gpu, range(8))), DeviceNodes(), MAJORS).sentence.endswith(", and 6 more")


def test_a_mig_device_needs_the_nodes_of_its_capabilities() -> None:
    found = inventory(gpu(0, mig(3)))
    first = found.gpus[0].mig_devices[0]
    path = f"gpu0/gi{first.gpu_instance}"
    minors = {f"{path}/access": 12, f"{path}/ci{first.compute_instance}/access": 13}
    assert check_device_nodes(found, with_caps(device_nodes(1), minors), MAJORS).verdict is Verdict.PASSED
    check = check_device_nodes(found, device_nodes(1), MAJORS)
    assert f"the capability {path}/access is missing" in check.sentence


def test_simulated_and_integrated_gpus_have_no_such_nodes() -> None:
    for found in (inventory(simulated=True), inventory(platform=Platform.WSL)):
        assert check_device_nodes(found, DeviceNodes(), {}).verdict is Verdict.NOT_APPLICABLE
