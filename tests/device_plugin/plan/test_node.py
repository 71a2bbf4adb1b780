"""The plan of a node."""

from device_plugin.allocate.preferred import select_preferred_ids
from device_plugin.plan.node import plan_devices
from gpu_core.domain.inventory import Inventory
from tests.device_plugin.plan.plans import MIXED, NONE, SINGLE, MakeGpu, ids, inventory


def test_without_gpus_there_are_no_resources_and_a_reason() -> None:
    plan = plan_devices(Inventory(driver=None, why_empty="no NVIDIA driver"), SINGLE)
    assert (plan.resources, plan.notes) == ({}, ("No GPUs: no NVIDIA driver.",))


def test_a_new_mig_layout_replaces_the_old_one(gpu: MakeGpu) -> None:
    known = plan_devices(inventory(gpu(0)), MIXED)
    plan = plan_devices(inventory(gpu(0, ["1g.10gb"] * 2)), MIXED, known=known)
    assert ids(plan) == {"nvidia.com/mig-1g.10gb": ["MIG-0-0", "MIG-0-1"]}


def test_devices_are_in_numeric_order(gpu: MakeGpu) -> None:
    plan = plan_devices(inventory(*(gpu(index) for index in reversed(range(12)))), NONE)
    assert ids(plan) == {"nvidia.com/gpu": [f"GPU-{index}" for index in range(12)]}


def test_by_default_a_container_gets_mig_devices_of_different_gpus(gpu: MakeGpu) -> None:
    plan = plan_devices(inventory(gpu(0, ["3g.40gb"] * 2), gpu(1, ["3g.40gb"] * 2)), MIXED)
    (offer,) = plan.resources.values()
    devices = {device.id: device for device in offer.devices}
    assert select_preferred_ids(offer, devices, [*devices], (), 2) == ("MIG-0-0", "MIG-1-0"), (
        "CUDA uses one of each GPU"
    )
