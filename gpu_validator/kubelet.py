"""Checks that the kubelet has the GPUs of the node, and that the Node offers some of them. PURE."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from gpu_core.domain.inventory import Inventory
from gpu_core.domain.node_assessment import ADVICE, Reason
from gpu_core.pods.device_names import name_devices
from gpu_validator.check import Check, Name, failed, not_applicable, passed
from node_core.domain.node_resources import DeviceGroup
from node_core.domain.quantity import parse_quantity

BY_CLAIMS = "gpu-dra-driver offers the GPUs in ResourceSlices, and writes a CDI specification for each claim"


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeletFacts:
    """devices: all devices of the kubelet. error: why the kubelet's devices are not known. allocatable: of the Node; None if unknown.

    has_kubelet: the machine has the folders of a kubelet. has_dra_driver: gpu-dra-driver runs on the node.
    """

    devices: tuple[DeviceGroup, ...] = ()
    error: str | None = None
    allocatable: Mapping[str, str] | None = None
    has_kubelet: bool = True
    has_dra_driver: bool = False

    def ids(self, inventory: Inventory) -> frozenset[str]:
        """Returns the ids of the GPUs and MIG devices of the node, of all resources."""
        return frozenset(id_ for ids in select_gpus(self.devices, inventory).values() for id_ in ids)


def select_gpus(devices: Collection[DeviceGroup], inventory: Inventory) -> dict[str, frozenset[str]]:
    """Returns resource -> the ids of its GPUs. Other devices are ignored; resources can be renamed, so their ids decide."""
    names = name_devices(inventory.gpus)
    found: dict[str, frozenset[str]] = {}
    for group in devices:
        if gpus := frozenset(id_ for id_ in group.ids if names.find(id_) is not None):
            found[group.resource] = found.get(group.resource, frozenset()) | gpus
    return found


def check_kubelet(facts: KubeletFacts, inventory: Inventory) -> Check:
    if not facts.has_kubelet:
        return not_applicable(Name.KUBELET, "this machine has no kubelet")
    if facts.error is not None:
        return failed(
            Name.KUBELET, facts.error, "check that the kubelet runs, and that its folder pod-resources is mounted"
        )
    resources = select_gpus(facts.devices, inventory)
    if not resources and facts.has_dra_driver:
        return not_applicable(Name.KUBELET, BY_CLAIMS)
    if not resources:
        return failed(Name.KUBELET, "the kubelet has no GPU of this node", ADVICE[Reason.NOT_REGISTERED])
    amounts = {name: len(ids) for name, ids in sorted(resources.items())}
    if facts.allocatable is not None:
        amounts = {name: _amount(facts.allocatable.get(name)) for name in amounts}
    if not any(amounts.values()):
        sentence = f"the Node has no allocatable {' or '.join(amounts)}"
        return failed(Name.KUBELET, sentence, ADVICE[Reason.NOT_ALLOCATABLE])
    return passed(Name.KUBELET, ", ".join(f"{count} {name}" for name, count in amounts.items()) + " allocatable")


def _amount(text: str | None) -> int:
    try:
        return int(parse_quantity(text or "0"))
    except ValueError:
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """What the Node object states. allocatable: None if the Node is not known. kubelet, runtime: versions, see NodeView."""

    allocatable: Mapping[str, str] | None = None
    kubelet: str = ""
    runtime: str = ""
