"""What is found beside the GPUs, to say why there are none: the bus, the driver's module, its device nodes."""

import os
from pathlib import Path

from node_core.domain.verdict import NodeFacts
from node_core.errors import HostReadError, NodeError
from node_core.host.nvml.api import TIMEOUT
from node_core.host.pci import has_nvidia_gpu
from node_core.host.root import HostRoot

MODULE = "/sys/module/nvidia"
CONTROL = "/dev/nvidiactl"


def read_facts(root: HostRoot, dev: HostRoot | None, error: NodeError | None) -> NodeFacts:
    """error: of the look at the GPUs. dev: the root whose /dev the host's is; None where it is not shown to us."""
    code = None if error is None else getattr(error, "code", type(error).__name__)
    has_node = None if dev is None or not dev.exists("/dev") else dev.exists(CONTROL)
    return NodeFacts(
        gpus_on_pci=_on_pci(root),
        module=root.exists(MODULE) if root.exists("/sys/module") else None,
        control_node=has_node,
        may_open=_may_open(dev.path(CONTROL)) if dev and has_node and code not in (None, TIMEOUT) else None,
        code=code,
        error=None if error is None else str(error),
    )


def _on_pci(root: HostRoot) -> bool | None:
    try:
        return has_nvidia_gpu(root) if root.exists("/sys/bus") else None
    except HostReadError:
        return None


def _may_open(node: Path) -> bool | None:
    """The device cgroup says no only when the node is opened, which is what NVML does too."""
    try:
        os.close(os.open(node, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK))
    except PermissionError:
        return False
    except OSError:
        return None
    return True
