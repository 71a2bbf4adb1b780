"""Reads the facts that explain missing GPUs: the PCI bus, the driver's kernel module and its device nodes."""

import os
from pathlib import Path

from gpu_core.domain.node_assessment import NodeFacts
from gpu_core.host.platform import has_gpu_off_pci
from gpu_core.nvml.api import TIMEOUT
from node_core.errors import HostReadError, NodeError
from node_core.host.pci import has_nvidia_gpu
from node_core.host.root import HostRoot
from node_core.values import replace

MODULE = "/sys/module/nvidia"
CONTROL = "/dev/nvidiactl"


def error_facts(error: NodeError | None, *, has_gpus: bool | None) -> NodeFacts:
    """Returns the facts without those of the driver. error: the error of the discovery, or None."""
    if error is None:
        return NodeFacts(has_gpus=has_gpus)
    return NodeFacts(has_gpus=has_gpus, code=getattr(error, "code", type(error).__name__), error=str(error))


def read_facts(root: HostRoot, dev: HostRoot | None, error: NodeError | None) -> NodeFacts:
    """error: the error of the discovery, or None. dev: the root that contains the host's /dev; None if it is not visible."""
    facts = error_facts(error, has_gpus=_has_gpus(root))
    has_node = None if dev is None or not dev.exists("/dev") else dev.exists(CONTROL)
    return replace(
        facts,
        module=root.exists(MODULE) if root.exists("/sys/module") else None,
        control_node=has_node,
        may_open=_may_open(dev.path(CONTROL)) if dev and has_node and facts.code not in (None, TIMEOUT) else None,
    )


def _has_gpus(root: HostRoot) -> bool | None:
    try:
        return has_nvidia_gpu(root) or has_gpu_off_pci(root) if root.exists("/sys/bus") else None
    except HostReadError:
        return None


def _may_open(node: Path) -> bool | None:
    """Opens the node as NVML does, because the device cgroup denies access only on opening."""
    try:
        os.close(os.open(node, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK))
    except PermissionError:
        return False
    except OSError:
        return None
    return True
