"""Builds inventories and reads plans."""

from collections.abc import Callable

from device_plugin.devices import Plan
from device_plugin.plan.options import PlanOptions
from gpu_core.domain.inventory import Driver, Fault, Gpu, Inventory

NONE, SINGLE, MIXED = (PlanOptions(mig_strategy=strategy) for strategy in ("none", "single", "mixed"))


DRIVER = Driver(version="550.54.15", cuda=None)


MakeGpu = Callable[..., Gpu]


def inventory(*gpus: Gpu, faults: tuple[Fault, ...] = ()) -> Inventory:
    return Inventory(driver=DRIVER, gpus=gpus, faults=faults)


def ids(plan: Plan) -> dict[str, list[str]]:
    return {resource: [device.id for device in offer.devices] for resource, offer in plan.resources.items()}
