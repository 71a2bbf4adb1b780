"""Checks the device nodes of the driver: they exist, and have the numbers that the kernel gives to the driver.

Source: kernel Documentation/filesystems/proc.rst, /proc/devices; NVIDIA driver README, device nodes; NVIDIA MIG User Guide.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from gpu_core.domain.inventory import Gpu, Inventory, Platform
from gpu_core.host.device_nodes import DeviceNodes, HostNode
from gpu_core.host.mig_caps import mig_capabilities
from gpu_validator.check import Check, Name, failed, not_applicable, passed
from node_core.host.root import HostRoot

PROC_DEVICES = "/proc/devices"
CONTROL_MINOR = 255
CONTROL, UVM = "/dev/nvidiactl", "/dev/nvidia-uvm"
NAMES = {CONTROL: ("nvidia-frontend", "nvidia", "nvidiactl"), UVM: ("nvidia-uvm",)}
"""The names in /proc/devices of the major number of a node. Drivers before 535 name it nvidia-frontend."""
CAPS = ("nvidia-caps",)
MAX_NAMED = 4
REMEDY = "create the device nodes (nvidia-modprobe -u -c=0), or restart the driver pod"
_LINE = re.compile(r"\s*(\d{1,9}) (\S{1,80})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """majors: the names of the major number in /proc/devices. minor: None for any."""

    path: str
    majors: tuple[str, ...]
    minor: int | None = None


def parse_majors(text: str) -> dict[str, int]:
    """Parses the character devices of /proc/devices: name -> major number. PURE."""
    characters = text.partition("Block devices:")[0]
    lines = (_LINE.fullmatch(line) for line in characters.splitlines())
    return {line[2]: int(line[1]) for line in lines if line}


def read_majors(host: HostRoot) -> dict[str, int]:
    """Reads the major numbers; empty if /proc is not visible. Raises HostReadError."""
    return parse_majors(host.text(PROC_DEVICES) or "")


def check_device_nodes(inventory: Inventory, nodes: DeviceNodes, majors: Mapping[str, int]) -> Check:
    """majors: name -> major number; empty if unknown. PURE."""
    if inventory.simulated:
        return not_applicable(Name.DEVICE_NODES, "simulated GPUs have no device nodes")
    if inventory.platform is not Platform.NVML:
        return not_applicable(Name.DEVICE_NODES, f"the GPUs of {inventory.platform} have other device nodes")
    expected = tuple(expect_nodes(inventory.gpus, nodes))
    problems = [problem for each in expected if (problem := _problem_of(each, nodes.nodes, majors)) is not None]
    if problems:
        more = f", and {len(problems) - MAX_NAMED} more" if len(problems) > MAX_NAMED else ""
        return failed(Name.DEVICE_NODES, f"{', '.join(problems[:MAX_NAMED])}{more}", REMEDY)
    return passed(Name.DEVICE_NODES, f"{len(expected)} device nodes exist")


def expect_nodes(gpus: Iterable[Gpu], nodes: DeviceNodes) -> Iterator[Expected]:
    """Yields the nodes that containers with these GPUs need. PURE."""
    yield Expected(path=CONTROL, majors=NAMES[CONTROL], minor=CONTROL_MINOR)
    yield Expected(path=UVM, majors=NAMES[UVM])
    for gpu in gpus:
        if gpu.minor is not None:
            yield Expected(path=f"/dev/nvidia{gpu.minor}", majors=NAMES[CONTROL], minor=gpu.minor)
        for mig in gpu.mig_devices:
            for name in mig_capabilities(gpu.minor or 0, mig.gpu_instance, mig.compute_instance):
                path = nodes.caps.node(name)
                yield Expected(path=path or f"the capability {name}", majors=CAPS, minor=nodes.caps.minors.get(name))


def _problem_of(expected: Expected, nodes: Mapping[str, HostNode], majors: Mapping[str, int]) -> str | None:
    node = nodes.get(expected.path)
    if node is None:
        return f"{expected.path} is missing"
    known = {majors[name] for name in expected.majors if name in majors}
    if known and node.major not in known:
        return f"{expected.path} has the major number {node.major}, and the driver has {min(known)}"
    if expected.minor is not None and node.minor != expected.minor:
        return f"{expected.path} has the minor number {node.minor} instead of {expected.minor}"
    return None
