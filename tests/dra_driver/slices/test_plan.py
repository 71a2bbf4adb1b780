import re

import pytest

from dra_driver.devices.collect import devices_of
from dra_driver.devices.model import Device
from dra_driver.slices.features import SliceFeatures
from dra_driver.slices.plan import MAX_NODE_NAME, is_slice_of, plan_slices, slice_name
from dra_driver.slices.taints import DeviceTaint, TaintEffect
from tests.dra_driver.devices.gpus import gpu, inventory, mig_of

FEATURES = SliceFeatures()


def nodes_devices(count: int, *, has_dynamic_mig: bool = False) -> tuple[Device, ...]:
    gpus = [gpu(index) for index in range(count)]
    return devices_of(inventory(*gpus), [mig_of(each) for each in gpus], has_dynamic_mig=has_dynamic_mig)


def test_full_gpus_are_one_slice_in_the_pool_of_the_node() -> None:
    ((name, spec),) = plan_slices(nodes_devices(8), {}, "n1", FEATURES).items()
    assert name == "n1-gpu.nvidia.com-0"
    assert spec["pool"] == {"name": "n1", "resourceSliceCount": 1}
    assert (spec["driver"], spec["nodeName"]) == ("gpu.nvidia.com", "n1")
    assert [device["name"] for device in spec["devices"]] == [f"gpu-{index}" for index in range(8)]
    assert "sharedCounters" not in spec


def test_a_device_has_typed_attributes_and_quantities() -> None:
    (spec,) = plan_slices(nodes_devices(1), {}, "n1", FEATURES).values()
    (device,) = spec["devices"]
    assert device["attributes"]["type"] == {"string": "gpu"}
    assert device["attributes"]["driverVersion"] == {"version": "550.54.15"}
    assert device["attributes"]["resource.kubernetes.io/numaNode"] == {"int": 0}
    assert device["capacity"]["memory"] == {"value": "85899345920"}
    assert not {"taints", "consumesCounters"} & device.keys()


def test_counters_have_their_own_slices_with_eight_sets() -> None:
    specs = [*plan_slices(nodes_devices(9, has_dynamic_mig=True), {}, "n1", FEATURES).values()]
    sets = [[each["name"] for each in spec.get("sharedCounters", ())] for spec in specs]
    assert [len(each) for each in sets if each] == [8, 1]
    assert not any(spec.get("devices") for spec in specs if spec.get("sharedCounters"))
    assert all(len(spec.get("devices", ())) <= 64 for spec in specs)
    assert {spec["pool"]["resourceSliceCount"] for spec in specs} == {len(specs)}
    names = [device["name"] for spec in specs for device in spec.get("devices", ())]
    assert sorted(names) == sorted(device.name for device in nodes_devices(9, has_dynamic_mig=True))


def test_in_kubernetes_1_34_each_gpu_has_a_slice_with_its_counters() -> None:
    features = SliceFeatures(has_own_counter_slices=False)
    devices = (*nodes_devices(2, has_dynamic_mig=True), *devices_of(inventory(gpu(7))))
    first, second, plain = plan_slices(devices, {}, "n1", features).values()
    assert [each["name"] for each in first["sharedCounters"]] == ["gpu-0-counter-set"]
    assert {each["consumesCounters"][0]["counterSet"] for each in second["devices"]} == {"gpu-1-counter-set"}
    assert "sharedCounters" not in plain
    assert [device["name"] for device in plain["devices"]] == ["gpu-7"]


def test_without_counters_devices_that_could_overlap_are_not_offered() -> None:
    features = SliceFeatures(has_counters=False, has_own_counter_slices=False)
    (spec,) = plan_slices(nodes_devices(2, has_dynamic_mig=True), {}, "n1", features).values()
    assert [device["name"] for device in spec["devices"]] == ["gpu-0", "gpu-1"]
    assert "consumesCounters" not in spec["devices"][0]


def test_without_taints_and_counters_a_slice_has_128_devices() -> None:
    features = SliceFeatures(has_counters=False, has_own_counter_slices=False, has_taints=False)
    assert [len(spec["devices"]) for spec in plan_slices(nodes_devices(130), {}, "n1", features).values()] == [128, 2]


def test_a_tainted_device_stays_in_its_slice() -> None:
    taints = {"gpu-1": (DeviceTaint(key="gpu.nvidia.com/xid", value="79", effect=TaintEffect.NO_EXECUTE),)}
    (spec,) = plan_slices(nodes_devices(2), taints, "n1", FEATURES).values()
    assert [device.get("taints") for device in spec["devices"]] == [
        None,
        [{"key": "gpu.nvidia.com/xid", "value": "79", "effect": "NoExecute"}],
    ]


def test_without_taints_a_device_that_is_not_healthy_is_not_offered() -> None:
    taints = {"gpu-1": (DeviceTaint(key="gpu.nvidia.com/xid", value="79"),), "gpu-0": ()}
    features = SliceFeatures(has_taints=False)
    (spec,) = plan_slices(nodes_devices(2), taints, "n1", features).values()
    assert [(device["name"], device.get("taints")) for device in spec["devices"]] == [("gpu-0", None)]
    assert plan_slices(nodes_devices(1), {"gpu-0": taints["gpu-1"]}, "n1", features) == {}


def test_the_first_beta_has_the_content_of_a_device_in_basic() -> None:
    features = SliceFeatures(version="v1beta1")
    (spec,) = plan_slices(nodes_devices(1), {}, "n1", features).values()
    (device,) = spec["devices"]
    assert device.keys() == {"name", "basic"}
    assert device["basic"]["attributes"]["uuid"] == {"string": "GPU-0"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("n1-gpu.nvidia.com-0", True),
        ("n1-gpu.nvidia.com-12", True),
        ("n1-gpu.nvidia.com-abc12", False),
        ("n1-gpu.nvidia.com-012", False),
        ("n1-gpu.nvidia.com-", False),
        ("n2-gpu.nvidia.com-0", False),
        ("n1-other-0", False),
    ],
)
def test_slices_of_another_driver_are_told_apart_by_name(name: str, expected: bool) -> None:
    assert is_slice_of("n1", name) is expected


def test_without_devices_there_are_no_slices() -> None:
    assert plan_slices((), {}, "n1", FEATURES) == {}


@pytest.mark.parametrize("node", ["n1", "a" * 253, "a." * 126 + "a", "a" * (MAX_NODE_NAME - 1) + "." + "b" * 40])
def test_names_of_slices_are_valid_for_every_node(node: str) -> None:
    name = slice_name(node, 99)
    assert len(name) <= 253
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", part) for part in name.split("."))
    assert slice_name(node[:-1] + "x", 99) != name
