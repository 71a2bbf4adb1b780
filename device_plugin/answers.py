"""How containers are told of the devices of each resource: by the settings, and by what the node can do."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from device_plugin.allocate.choose import Choice, choose_device_list
from device_plugin.allocate.respond import Strategy
from device_plugin.allocate.strategies import AUTO, Answering, DeviceList, build_strategies
from device_plugin.devices import Offer
from device_plugin.manager import Answers
from device_plugin.mps.plan import mps_access
from device_plugin.settings import ResponseSettings
from device_plugin.specs import Surroundings
from node_core.domain.resources import ResourceName
from node_core.domain.sharing import SharingStrategy


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSoftware:
    """kubelet, runtime: as the Node's status.nodeInfo has them, `v1.31.2` and `containerd://2.0.1`; empty before it was seen."""

    kubelet: str = ""
    runtime: str = ""


def choose_lists(
    settings: ResponseSettings, node: NodeSoftware, found: Surroundings
) -> tuple[tuple[DeviceList, ...], Choice | None]:
    """The device list strategies that count, and with `auto` why it is this one."""
    if settings.device_lists != (AUTO,):
        return tuple(each for each in settings.device_lists if each != AUTO), None
    choice = choose_device_list(kubelet=node.kubelet, runtime=node.runtime, no_specs=found.no_specs)
    return (choice.device_list,), choice


def build_answers(settings: ResponseSettings, lists: tuple[DeviceList, ...], found: Surroundings) -> Answers:
    """lists: those that count."""

    def answers(resource: ResourceName, offer: Offer) -> Sequence[Strategy]:
        is_mps = offer.sharing is SharingStrategy.MPS and settings.mps_root is not None
        how = Answering(
            lists=lists,
            id_strategy=settings.id_strategy,
            cdi_names=found.cdi_names,
            annotation_prefix=settings.cdi.annotation_prefix,
            device_specs=settings.pass_device_specs,
            control_nodes=found.control_nodes,
            dev_root=found.dev_root,
            imex_channels=found.imex_channels,
            optional=tuple(name for name in ("gdrcopy", "gds", "mofed") if getattr(settings, name)),
            mps=mps_access(resource, settings.mps_root) if is_mps and settings.mps_root else None,
        )
        return build_strategies(how, lambda: str(uuid.uuid4()))

    return answers
