"""A discovery of the GPUs of this node, with what Allocate responses need to know about the host."""

from collections.abc import Callable

import msgspec

from device_plugin.cdi_sync import HostContext
from gpu_core.domain.inventory import Inventory
from gpu_core.host.mig_caps import MigCaps, read_mig_caps
from node_core.errors import HostReadError
from node_core.host.root import HostRoot

NO_CAPS = MigCaps()


class DiscoveryResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one successful discovery.

    caps: the device nodes of MIG capabilities. caps_problem: why these nodes cannot be read, or None. context: what Allocate responses
    need to know about the host. began: when the discovery started, in monotonic seconds.
    """

    inventory: Inventory
    caps: MigCaps = NO_CAPS
    caps_problem: str | None = None
    context: HostContext = HostContext()
    began: float = 0.0


def discover(
    read: Callable[[], Inventory], root: HostRoot, read_context: Callable[[Inventory], HostContext]
) -> DiscoveryResult:
    """Reads the inventory and what Allocate responses need to know about the host. Raises the NvmlError of `read`."""
    inventory = read()
    context = read_context(inventory)
    if inventory.simulated or not any(gpu.mig_enabled for gpu in inventory.gpus):
        return DiscoveryResult(inventory=inventory, context=context)
    try:
        return DiscoveryResult(inventory=inventory, caps=read_mig_caps(root), context=context)
    except HostReadError as error:
        return DiscoveryResult(inventory=inventory, caps_problem=str(error), context=context)
