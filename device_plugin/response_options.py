"""Plans how Allocate responses pass devices to containers, by the settings and by what the node supports. PURE."""

import msgspec

from device_plugin.allocate.choose import Choice, select_device_list
from device_plugin.allocate.strategies import AUTO, DeviceList, ResponseOptions
from device_plugin.cdi_sync import HostContext
from device_plugin.devices import ResourceOffer
from gpu_core.domain.resources import ResourceName
from gpu_core.domain.sharing import SharingStrategy
from gpu_core.mps.spec import mps_access
from gpu_core.settings.nvidia_settings import ResponseSettings


class NodeSoftware(msgspec.Struct, frozen=True, kw_only=True):
    """Versions from the Node's status.nodeInfo, such as `v1.31.2` and `containerd://2.0.1`; empty until the Node is read."""

    kubelet: str = ""
    runtime: str = ""


class ServedResource(msgspec.Struct, frozen=True, kw_only=True):
    """A resource that the kubelet is offered: its devices, and how Allocate responses pass them to containers."""

    offer: ResourceOffer
    response_options: ResponseOptions


def select_device_lists(
    settings: ResponseSettings, node: NodeSoftware, context: HostContext
) -> tuple[tuple[DeviceList, ...], Choice | None]:
    """Returns the device list strategies to use. With `auto`, also returns the choice and its reason."""
    if settings.device_lists != (AUTO,):
        return tuple(each for each in settings.device_lists if each != AUTO), None
    choice = select_device_list(kubelet=node.kubelet, runtime=node.runtime, no_specs_reason=context.no_specs_reason)
    return (choice.device_list,), choice


def plan_response_options(
    resource: ResourceName,
    offer: ResourceOffer,
    settings: ResponseSettings,
    lists: tuple[DeviceList, ...],
    context: HostContext,
) -> ResponseOptions:
    """lists: the device list strategies to use."""
    mps_root = settings.mps_root if offer.sharing is SharingStrategy.MPS else None
    return ResponseOptions(
        lists=lists,
        id_strategy=settings.id_strategy,
        cdi_names=context.cdi_names,
        annotation_prefix=settings.cdi.annotation_prefix,
        device_specs=settings.pass_device_specs,
        control_nodes=context.control_nodes,
        dev_root=context.dev_root,
        imex_channels=context.imex_channels,
        optional=tuple(name for name in ("gdrcopy", "gds", "mofed") if getattr(settings, name)),
        mps=mps_access(resource, mps_root) if mps_root else None,
    )
