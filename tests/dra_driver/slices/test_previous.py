"""The devices that a process finds in the slices of an earlier one."""

import copy
from typing import Any

import pytest

from dra_driver.devices.collect import devices_of
from dra_driver.devices.model import Device
from dra_driver.slices.features import SliceFeatures
from dra_driver.slices.plan import plan_slices
from dra_driver.slices.previous import parse_devices
from node_core.domain.pci import PciAddress
from node_core.values import replace
from tests.dra_driver.devices.gpus import gpu, inventory, mig_device, mig_of
from tests.gpu_core.mig.boards import instance

EIGHT = [gpu(index) for index in range(8)]
DIVIDED = gpu(0, mig_enabled=True, mig_devices=(mig_device(1, "3g.40gb", 4),))
FULL = devices_of(inventory(*EIGHT), pcie_roots={PciAddress("0000:04:00.0"): "pci0000:02"})
ON_DEMAND = devices_of(inventory(*EIGHT), [mig_of(each) for each in EIGHT], has_dynamic_mig=True)
EXISTING = devices_of(inventory(DIVIDED), [replace(mig_of(DIVIDED), instances=(instance(1, "3g.40gb", 4),))])


def stored(devices: tuple[Device, ...], features: SliceFeatures) -> dict[str, dict[str, Any]]:
    return {name: {"spec": dict(spec)} for name, spec in plan_slices(devices, {}, "n1", features).items()}


@pytest.mark.parametrize("devices", [FULL, ON_DEMAND, EXISTING], ids=["full", "on demand", "existing"])
@pytest.mark.parametrize(
    "features",
    [
        SliceFeatures(),
        SliceFeatures(version="v1beta1", has_own_counter_slices=False),
        SliceFeatures(has_counters=False, has_own_counter_slices=False, has_taints=False),
    ],
    ids=["1.36", "1.32", "no counters"],
)
def test_the_devices_of_an_earlier_process_give_the_same_slices(
    devices: tuple[Device, ...], features: SliceFeatures
) -> None:
    slices = stored(devices, features)
    found = parse_devices(slices, "n1")
    assert stored(tuple(found.values()), features) == slices
    gpus = {each.name: each.gpu.uuid for each in devices}
    assert {name: each.gpu.uuid for name, each in found.items()} == {name: gpus[name] for name in found}


def test_more_than_ten_slices_give_the_same_slices() -> None:
    gpus = [gpu(index) for index in range(12)]
    devices = devices_of(inventory(*gpus), [mig_of(each) for each in gpus], has_dynamic_mig=True)
    features = SliceFeatures(version="v1beta1", has_own_counter_slices=False)
    slices = stored(devices, features)
    assert len(slices) == 12
    assert stored(tuple(parse_devices(slices, "n1").values()), features) == slices


def test_quantities_are_read_in_the_form_of_the_api_server() -> None:
    slices = stored(FULL[:1], SliceFeatures())
    slices["n1-gpu.nvidia.com-0"]["spec"]["devices"][0]["capacity"]["memory"]["value"] = "80Gi"
    assert parse_devices(slices, "n1")["gpu-0"].capacity == {"memory": 80 << 30}


def test_slices_of_another_program_are_not_read() -> None:
    slices = stored(FULL, SliceFeatures())
    assert parse_devices({"n1-gpu.nvidia.com-abc12": slices["n1-gpu.nvidia.com-0"]}, "n1") == {}
    assert parse_devices(slices, "n2") == {}


@pytest.mark.parametrize(
    "damage",
    [
        {"attributes": {}},
        {"attributes": {"type": {"string": "gpu"}, "uuid": {"bool": None}}},
        {"attributes": {"type": {"string": "tpu"}, "uuid": {"string": "GPU-0"}}},
        {"name": "nic-0"},
        {"name": None},
        {"capacity": {"memory": {"value": "much"}}},
        {"consumesCounters": [{"counterSet": "unknown", "counters": {}}]},
        {"basic": 7},
    ],
    ids=str,
)
def test_a_malformed_device_is_omitted_and_no_other(damage: dict[str, Any]) -> None:
    slices = copy.deepcopy(stored(FULL, SliceFeatures()))
    slices["n1-gpu.nvidia.com-0"]["spec"]["devices"][0] |= damage
    assert list(parse_devices(slices, "n1")) == [f"gpu-{index}" for index in range(1, 8)]
