"""Why a node has the GPUs that it has: one verdict, a sentence, and what to do. Never a silent zero. PURE."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from node_core.domain.inventory import Inventory


class Reason(StrEnum):
    """As the reason of the Node's condition."""

    READY = "GPUsReady"
    SOME_UNHEALTHY = "SomeGPUsUnhealthy"
    ALL_UNHEALTHY = "AllGPUsUnhealthy"
    NO_GPU = "NoGPU"
    NO_DRIVER = "NoDriver"
    NO_LIBRARY = "NoDriverLibrary"
    MISMATCH = "DriverLibraryMismatch"
    NO_NODES = "DeviceNodesMissing"
    NO_PERMISSION = "PermissionDenied"
    HANGS = "DriverHangs"
    NVML_FAILS = "NVMLFails"
    UNREADABLE = "GPUsUnreadable"
    MIG_EMPTY = "MIGEnabledButEmpty"
    EXCLUDED = "AllExcludedByConfig"
    NOT_ADVERTISED = "NothingAdvertised"
    RELEASED = "GPUsReleased"
    NOT_LOOKED = "NotLookedYet"
    NOT_ASKED_FOR = "NodeNotLabelled"


ADVICE: Mapping[Reason, str] = {
    Reason.SOME_UNHEALTHY: "see the Events of this Node for each GPU and what it needs",
    Reason.ALL_UNHEALTHY: "see the Events of this Node for each GPU and what it needs",
    Reason.NO_GPU: "nothing, if this node should have none; else check that the GPU is seated, powered and bound (lspci -d 10de:)",
    Reason.NO_DRIVER: "install NVIDIA's driver and load its module (modprobe nvidia), and look for NVRM lines in the kernel log",
    Reason.NO_LIBRARY: "install libnvidia-ml.so.1 of the driver, or make its folder visible here with --driver-root-ctr-path",
    Reason.MISMATCH: "unload the old kernel module and load the new one, or reboot; a driver update is half done",
    Reason.NO_NODES: "make the device nodes: nvidia-modprobe -u -c=0, or start nvidia-persistenced",
    Reason.NO_PERMISSION: "let this process open /dev/nvidia*: the device cgroup, the container's privileges or SELinux keep it out",
    Reason.HANGS: "look for NVRM and Xid lines in the kernel log; a driver that hangs usually needs a reboot",
    Reason.NVML_FAILS: "look for NVRM lines in the kernel log and try nvidia-smi on the node",
    Reason.UNREADABLE: "look for NVRM lines in the kernel log; a GPU that is lost needs a reset or a reboot",
    Reason.MIG_EMPTY: "make MIG devices (nvidia-smi mig -cgi ... -C), or turn MIG mode off",
    Reason.EXCLUDED: "advertise some of them: see the MIG strategy, and resources, devices and reserved in the config file",
    Reason.RELEASED: "nothing, if the request is meant; else take it back: gpunode release --end, or remove its file",
    Reason.NOT_ADVERTISED: "see the log of gpu-device-plugin for the reason of each device",
}

MOST_TROUBLES = 4
"""So many GPUs are told of by name."""

NVML_REASONS: Mapping[str, Reason] = {
    "LIB_RM_VERSION_MISMATCH": Reason.MISMATCH,
    "NO_PERMISSION": Reason.NO_PERMISSION,
    "TIMEOUT": Reason.HANGS,
    "RELEASED": Reason.RELEASED,
}
"""Codes of NVML that say it all, and one of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What is found beside the GPUs. code, error: of NVML, where a look failed.

    gpus_on_pci, module, control_node: whether there is an NVIDIA GPU on the bus, the driver's kernel module, /dev/nvidiactl; None where
    that could not be found out. may_open: whether we may open that node.
    """

    gpus_on_pci: bool | None = None
    module: bool | None = None
    control_node: bool | None = None
    may_open: bool | None = None
    code: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """What became of the GPUs, in devices. excluded: what the config keeps back. troubles: a sentence for each GPU that is out of use."""

    healthy: int = 0
    unhealthy: int = 0
    excluded: int = 0
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """is_ready: whether pods can be given GPUs. todo: what a person does; None where there is nothing to do."""

    reason: Reason
    sentence: str
    todo: str | None = None

    @property
    def is_ready(self) -> bool:
        return self.reason in (Reason.READY, Reason.SOME_UNHEALTHY)

    @property
    def text(self) -> str:
        return f"{self.sentence}: {self.todo}" if self.todo else self.sentence


NOT_ASKED_FOR = Judgement(
    reason=Reason.NOT_ASKED_FOR,
    sentence="the Node does not have the label that asks for its GPUs, nvidia.com/gpu.present=true if no other is set",
    todo="nothing, if this node should have no GPU; else see what nfd-lite finds on the PCI bus",
)


def judge(facts: NodeFacts, inventory: Inventory | None, offered: Offered) -> Judgement:
    """inventory: of the last look; None where it failed or there was none."""
    if facts.code is not None:
        return _judge_failure(facts)
    if inventory is None:
        return _judgement(Reason.NOT_LOOKED, "nobody has looked at the GPUs yet")
    if not inventory.gpus and not inventory.faults:
        return _judge_none(facts, inventory)
    return _judge_some(inventory, offered)


def _judge_failure(facts: NodeFacts) -> Judgement:
    reason = _why_failed(facts)
    if reason is Reason.NO_GPU:
        return _judgement(reason, "there is no NVIDIA GPU on the PCI bus")
    return _judgement(reason, f"{_FAILURES[reason]} ({facts.error or facts.code})")


def _why_failed(facts: NodeFacts) -> Reason:
    if (reason := NVML_REASONS.get(facts.code or "")) is not None:
        return reason
    if facts.code in _MISSING and not facts.module:
        return Reason.NO_GPU if facts.gpus_on_pci is False else Reason.NO_DRIVER
    if facts.code == "LIBRARY_NOT_FOUND":
        return Reason.NO_LIBRARY
    if facts.control_node is False:
        return Reason.NO_NODES
    return Reason.NO_PERMISSION if facts.may_open is False else Reason.NVML_FAILS


_MISSING = ("DRIVER_NOT_LOADED", "LIBRARY_NOT_FOUND")
_FAILURES: Mapping[Reason, str] = {
    Reason.NO_DRIVER: "there is an NVIDIA GPU and no driver is loaded",
    Reason.NO_LIBRARY: "the driver's kernel module is loaded, and libnvidia-ml cannot be found",
    Reason.MISMATCH: "the driver's kernel module and its library are of different versions",
    Reason.NO_NODES: "the driver is loaded, and /dev/nvidiactl is missing",
    Reason.NO_PERMISSION: "the driver's device nodes may not be opened",
    Reason.HANGS: "the driver does not answer",
    Reason.RELEASED: "the GPUs are not looked at, because somebody wants them to be free",
    Reason.NVML_FAILS: "the GPUs cannot be looked at",
}


def _judge_none(facts: NodeFacts, inventory: Inventory) -> Judgement:
    if inventory.driver is None or not facts.gpus_on_pci:
        return _judgement(Reason.NO_GPU, inventory.why_empty or "there is no NVIDIA GPU")
    return _judgement(Reason.UNREADABLE, "there is an NVIDIA GPU on the PCI bus, and the driver counts none")


def _judge_some(inventory: Inventory, offered: Offered) -> Judgement:
    total = offered.healthy + offered.unhealthy
    if not total:
        return _judge_unadvertised(inventory, offered)
    sentence = f"{offered.healthy} of {total} devices can be allocated"
    if not offered.unhealthy and not inventory.faults:
        return _judgement(Reason.READY, sentence)
    reason = Reason.SOME_UNHEALTHY if offered.healthy else Reason.ALL_UNHEALTHY
    unread = tuple(f"GPU {fault.index} cannot be read: {fault.reason}" for fault in inventory.faults)
    return _judgement(reason, f"{sentence}{_told(offered.troubles or unread)}")


def _told(troubles: tuple[str, ...]) -> str:
    """A few of them."""
    more = f", and {len(troubles) - MOST_TROUBLES} more" if len(troubles) > MOST_TROUBLES else ""
    return f" ({', '.join(troubles[:MOST_TROUBLES])}{more})" if troubles else ""


def _judge_unadvertised(inventory: Inventory, offered: Offered) -> Judgement:
    if not inventory.gpus:
        why = "; ".join(dict.fromkeys(fault.reason for fault in inventory.faults))
        return _judgement(Reason.UNREADABLE, f"none of {len(inventory.faults)} GPUs can be read ({why})")
    if all(gpu.mig_enabled and not gpu.mig_devices for gpu in inventory.gpus):
        return _judgement(Reason.MIG_EMPTY, "MIG mode is enabled and there are no MIG devices")
    if offered.excluded:
        return _judgement(Reason.EXCLUDED, f"the config keeps all {offered.excluded} devices back")
    return _judgement(Reason.NOT_ADVERTISED, f"of {len(inventory.gpus)} GPUs nothing is advertised")


def _judgement(reason: Reason, sentence: str) -> Judgement:
    return Judgement(reason=reason, sentence=sentence, todo=ADVICE.get(reason))
