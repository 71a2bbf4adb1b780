"""Nodes with GPUs, for the tests of the checks."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gpu_core.domain.inventory import Driver, Gpu, Inventory, MigDevice
from gpu_core.domain.node_assessment import NodeFacts
from gpu_core.host.device_nodes import DeviceNodes, HostNode
from gpu_core.host.mig_caps import MigCaps
from gpu_core.nvml.driver_version import DriverVersions
from gpu_validator.driver import DriverFacts
from node_core.domain.node_resources import DeviceGroup
from node_core.domain.pci import PciAddress
from node_core.values import replace
from tests.gpu_core.pods import nodes

VERSION = "550.54.15"
RESOURCE = "nvidia.com/gpu"
KIND = "k8s.device-plugin.nvidia.com/gpu"
MAJORS = {"nvidia": 195, "nvidia-uvm": 510, "nvidia-caps": 238}


def mig(number: int) -> MigDevice:
    """The only device of the GPU instance with this number."""
    return nodes.mig(number, number)


def gpu(index: int, *migs: MigDevice) -> Gpu:
    return replace(nodes.gpu(index, *migs), minor=index, address=PciAddress(f"0000:{index:02x}:00.0"))


def inventory(*gpus: Gpu, **more: Any) -> Inventory:
    return Inventory(driver=Driver(version=VERSION, cuda=None), gpus=gpus or (gpu(0), gpu(1)), **more)


def driver(found: Inventory | None = None, *bound: str, **facts: Any) -> DriverFacts:
    return DriverFacts(
        inventory=found,
        facts=NodeFacts(**{"has_gpus": True, "module": True, **facts}),
        versions=DriverVersions(module=VERSION, library=VERSION),
        bound=tuple(map(PciAddress, bound)),
    )


def character(major: int, minor: int) -> HostNode:
    return HostNode(major=major, minor=minor, mode=0o666)


def device_nodes(count: int = 2, changes: Mapping[str, HostNode | None] = MappingProxyType({})) -> DeviceNodes:
    """changes: name in /dev -> another node, or None for a missing one."""
    nodes: dict[str, HostNode | None] = {"nvidiactl": character(195, 255), "nvidia-uvm": character(510, 0)}
    nodes |= {f"nvidia{minor}": character(195, minor) for minor in range(count)}
    nodes |= changes
    return DeviceNodes(nodes={f"/dev/{name}": node for name, node in nodes.items() if node is not None})


def with_caps(nodes: DeviceNodes, minors: Mapping[str, int]) -> DeviceNodes:
    caps = MigCaps(minors=minors)
    paths = {f"/dev/nvidia-caps/nvidia-cap{minor}": character(238, minor) for minor in minors.values()}
    return replace(nodes, nodes={**nodes.nodes, **paths}, caps=caps)


def group(*ids: str, resource: str = RESOURCE) -> DeviceGroup:
    return DeviceGroup(resource=resource, ids=frozenset(ids))


def spec(*names: str, kind: str = KIND, **edits: Any) -> dict[str, Any]:
    """A valid specification. edits: of each device, in addition to its node."""
    devices = [
        {"name": name, "containerEdits": {"deviceNodes": [{"path": f"/dev/nvidia{at}"}], **edits}}
        for at, name in enumerate(names)
    ]
    return {"cdiVersion": "0.5.0", "kind": kind, "devices": devices}
