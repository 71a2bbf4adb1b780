"""Checks the driver: NVML lists every GPU of the PCI bus, and the kernel module and the library have one version. PURE."""

from collections.abc import Collection
from dataclasses import dataclass

from gpu_core.domain.inventory import Inventory
from gpu_core.domain.node_assessment import ADVICE, DeviceCounts, NodeFacts, Reason, assess_node
from gpu_core.nvml.driver_version import DriverVersions
from gpu_validator.check import Check, Name, failed, passed
from node_core.domain.pci import PciAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverFacts:
    """inventory: None if the discovery failed. facts: with the error of the discovery. bound: the PCI addresses that the driver has."""

    inventory: Inventory | None
    facts: NodeFacts
    versions: DriverVersions
    bound: Collection[PciAddress] = ()

    @property
    def has_gpus(self) -> bool:
        """Whether the node has NVIDIA GPUs, or may have some."""
        if self.inventory is None:
            return assess_node(self.facts, None, DeviceCounts()).reason is not Reason.NO_GPU
        return bool(self.inventory.gpus or self.inventory.faults or self.facts.has_gpus)


def check_driver(found: DriverFacts) -> Check:
    """The facts of a node with GPUs."""
    inventory = found.inventory
    if inventory is None or not (inventory.gpus or inventory.faults):
        assessment = assess_node(found.facts, inventory, DeviceCounts())
        return failed(Name.DRIVER, assessment.sentence, assessment.todo or ADVICE[Reason.NVML_FAILS])
    if (mismatch := found.versions.mismatch) is not None:
        return failed(Name.DRIVER, mismatch.partition(": ")[0], ADVICE[Reason.MISMATCH])
    if inventory.faults:
        first = inventory.faults[0]
        count = f"{len(inventory.faults)} of {len(inventory.gpus) + len(inventory.faults)} GPUs cannot be read"
        return failed(Name.DRIVER, f"{count}. {first.name}: {first.reason}", ADVICE[Reason.UNREADABLE])
    listed = {gpu.address for gpu in inventory.gpus}
    if missing := sorted(each for each in found.bound if each not in listed):
        sentence = f"the driver has the GPU at {missing[0]}, but NVML does not list the GPU"
        return failed(Name.DRIVER, sentence, ADVICE[Reason.UNREADABLE])
    return passed(Name.DRIVER, _describe(inventory))


def _describe(inventory: Inventory) -> str:
    count = len(inventory.gpus)
    gpus = f"{count} {'simulated ' if inventory.simulated else ''}GPU{'' if count == 1 else 's'}"
    version = inventory.driver.version if inventory.driver else ""
    return f"driver {version} lists {gpus}" if version else f"the driver lists {gpus}"
