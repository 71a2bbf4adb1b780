"""Assesses whether a node has allocatable GPUs: one reason, a sentence, and what an administrator does. PURE.

A node without GPUs always gets a reason.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

import msgspec

from gpu_core.domain.inventory import Inventory
from node_core.values import replace


class Reason(StrEnum):
    """The reasons of the Node condition GPUReady."""

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
    MIG_NOT_ADVERTISED = "MIGStrategyNone"
    MIG_INVALID = "MIGLayoutInvalid"
    MIG_CHANGING = "MIGLayoutChanging"
    MPS_STARTING = "MPSStarting"
    MPS_NOT_READY = "MPSNotReady"
    NO_CDI = "CDISpecMissing"
    NO_IMEX = "IMEXChannelsMissing"
    NOT_REGISTERED = "NotRegistered"
    NOT_ALLOCATABLE = "NotAdvertisedByKubelet"
    CONFIG_INVALID = "ConfigInvalid"
    RELEASED = "GPUsReleased"
    NOT_DISCOVERED = "NotDiscoveredYet"
    NOT_LABELLED = "NodeNotLabelled"


ADVICE: Mapping[Reason, str] = {
    Reason.SOME_UNHEALTHY: "see the Events of this Node for the action that each GPU needs",
    Reason.ALL_UNHEALTHY: "see the Events of this Node for the action that each GPU needs",
    Reason.NO_GPU: "no action if this node should have no GPU; otherwise check that the GPU is seated, powered and bound (lspci -d 10de:)",
    Reason.NO_DRIVER: "install the NVIDIA driver and load its module (modprobe nvidia); check the kernel log for NVRM lines",
    Reason.NO_LIBRARY: "install libnvidia-ml.so.1 of the driver, or mount its folder and set --driver-root-ctr-path",
    Reason.MISMATCH: "unload the old kernel module and load the new one, or reboot the node; a driver update is incomplete",
    Reason.NO_NODES: "create the device nodes (nvidia-modprobe -u -c=0), or start nvidia-persistenced",
    Reason.NO_PERMISSION: "let this process open /dev/nvidia*: check the device cgroup, the container's privileges and SELinux",
    Reason.HANGS: "check the kernel log for NVRM and Xid lines; a driver that hangs usually needs a reboot",
    Reason.NVML_FAILS: "check the kernel log for NVRM lines and run nvidia-smi on the node",
    Reason.UNREADABLE: "check the kernel log for NVRM lines; a lost GPU needs a reset or a reboot",
    Reason.MIG_EMPTY: "disable MIG mode (nvidia-smi -mig 0), or create MIG devices (nvidia-smi mig -cgi ... -C), which are advertised with "
    "--mig-strategy single or mixed, not with none",
    Reason.EXCLUDED: "change resources, devices or reserved in the config file",
    Reason.MIG_NOT_ADVERTISED: "set --mig-strategy to single or mixed, or disable MIG mode",
    Reason.MIG_INVALID: "set --mig-strategy to mixed, or create the same MIG devices on every GPU of the node",
    Reason.MPS_NOT_READY: "see the log of gpu-device-plugin and the logs of MPS in the folder log below --mps-root",
    Reason.NO_CDI: "see the log of gpu-device-plugin, or choose another --device-list-strategy",
    Reason.NO_IMEX: "create the IMEX channels (nvidia-modprobe -i), or remove --imex-required",
    Reason.NOT_REGISTERED: "check that the kubelet runs, that its folder device-plugins is mounted and writable, and that no other device "
    "plugin serves these resources",
    Reason.NOT_ALLOCATABLE: "check the log of the kubelet, and whether another device plugin serves these resources",
    Reason.CONFIG_INVALID: "correct the config file, or the label of the Node that selects the config",
    Reason.NOT_LABELLED: "check that nfd-lite runs on this node, or set the label; no action if this node should not offer its GPUs",
    Reason.RELEASED: "no action if the release request is intended; otherwise run gpunode release --end, or remove the request file",
    Reason.NOT_ADVERTISED: "see the log of gpu-device-plugin for the reason for each device",
}

MAX_GPUS_IN_MESSAGE = 4

NVML_REASONS: Mapping[str, Reason] = {
    "LIB_RM_VERSION_MISMATCH": Reason.MISMATCH,
    "NO_PERMISSION": Reason.NO_PERMISSION,
    "TIMEOUT": Reason.HANGS,
    "RELEASED": Reason.RELEASED,
}
"""Codes of NvmlError that determine the reason without other facts. RELEASED is a code of this project, see `nvml.source`."""


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the host shows besides the GPUs, and the error of a failed discovery.

    has_gpus: the PCI bus, the SoC or WSL has an NVIDIA GPU. module: the driver's kernel module is loaded. control_node: /dev/nvidiactl
    exists. may_open: this process may open /dev/nvidiactl. All four: None if unknown. code, error: of a failed discovery. is_simulated:
    the GPUs are simulated.
    """

    has_gpus: bool | None = None
    module: bool | None = None
    control_node: bool | None = None
    may_open: bool | None = None
    code: str | None = None
    error: str | None = None
    is_simulated: bool = False


class DeviceCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of devices. excluded: not advertised. problems: a sentence for each GPU that is not usable, or for what devices lack.

    unit: `GPUs` if each device is a whole GPU that is not shared. excluded_reasons: a sentence for each reason. excluded_by, unhealthy_by:
    the reasons that concern the node and not one GPU, if all excluded or unhealthy devices have the same reason; else None.
    needs_action: whether a GPU does not return by itself.
    """

    healthy: int = 0
    unhealthy: int = 0
    unit: Literal["GPUs", "devices"] = "devices"
    excluded: int = 0
    excluded_reasons: tuple[str, ...] = ()
    excluded_by: Reason | None = None
    problems: tuple[str, ...] = ()
    unhealthy_by: Reason | None = None
    needs_action: bool = True


class NodeAssessment(msgspec.Struct, frozen=True, kw_only=True):
    """sentence, todo: without a capital letter and a period. todo: what an administrator does; None for nothing."""

    reason: Reason
    sentence: str
    todo: str | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the kubelet can allocate GPUs."""
        return self.reason in (Reason.READY, Reason.SOME_UNHEALTHY)

    @property
    def text(self) -> str:
        """The message of the Node condition."""
        return " ".join(f"{part[:1].upper()}{part[1:]}." for part in (self.sentence, self.todo) if part)


def assess_closed_gate(facts: NodeFacts, problem: str) -> NodeAssessment:
    """Assesses a node on which the plugin does not advertise GPUs. problem: what the labels of the Node lack."""
    if facts.has_gpus is False:
        return _assessment(Reason.NO_GPU, f"the node has no NVIDIA GPU, and {problem}")
    return _assessment(Reason.NOT_LABELLED, f"{problem}, so no GPU is advertised")


def assess_invalid_config(problem: str) -> NodeAssessment:
    """Assesses a node on which no config has been valid yet."""
    return _assessment(Reason.CONFIG_INVALID, f"no GPU is advertised, because no config is valid: {problem}")


def assess_kubelet(reason: Reason, sentence: str) -> NodeAssessment:
    """Assesses a node whose GPUs are usable, but which the kubelet does not have."""
    return _assessment(reason, sentence)


def assess_node(facts: NodeFacts, inventory: Inventory | None, counts: DeviceCounts) -> NodeAssessment:
    """inventory: of the last discovery; None if it failed or there was none."""
    assessment = _assess(facts, inventory, counts)
    if not facts.is_simulated:
        return assessment
    return replace(assessment, sentence=f"simulated GPUs: {assessment.sentence}")


def _assess(facts: NodeFacts, inventory: Inventory | None, counts: DeviceCounts) -> NodeAssessment:
    if facts.code is not None:
        return _assess_failure(facts)
    if inventory is None:
        return _assessment(Reason.NOT_DISCOVERED, "the first discovery of GPUs has not run yet")
    if not inventory.gpus and not inventory.faults:
        return _assess_no_gpus(facts, inventory)
    return _assess_gpus(inventory, counts)


def _assess_failure(facts: NodeFacts) -> NodeAssessment:
    reason = _failure_reason(facts)
    if reason is Reason.NO_GPU:
        return _assessment(reason, "the PCI bus has no NVIDIA GPU")
    return _assessment(reason, f"{_FAILURES[reason]} ({facts.error or facts.code})")


def _failure_reason(facts: NodeFacts) -> Reason:
    if (reason := NVML_REASONS.get(facts.code or "")) is not None:
        return reason
    if facts.code in _MISSING and not facts.module:
        return Reason.NO_GPU if facts.has_gpus is False else Reason.NO_DRIVER
    if facts.code == "LIBRARY_NOT_FOUND":
        return Reason.NO_LIBRARY
    if facts.control_node is False:
        return Reason.NO_NODES
    return Reason.NO_PERMISSION if facts.may_open is False else Reason.NVML_FAILS


_MISSING = ("DRIVER_NOT_LOADED", "LIBRARY_NOT_FOUND")
_FAILURES: Mapping[Reason, str] = {
    Reason.NO_DRIVER: "the node has an NVIDIA GPU, but no driver is loaded",
    Reason.NO_LIBRARY: "the driver's kernel module is loaded, but libnvidia-ml is missing",
    Reason.MISMATCH: "the driver's kernel module and library have different versions",
    Reason.NO_NODES: "the driver is loaded, but /dev/nvidiactl is missing",
    Reason.NO_PERMISSION: "this process may not open the driver's device nodes",
    Reason.HANGS: "the driver does not respond",
    Reason.RELEASED: "a release request keeps NVML closed",
    Reason.NVML_FAILS: "NVML cannot read the GPUs",
}


def _assess_no_gpus(facts: NodeFacts, inventory: Inventory) -> NodeAssessment:
    if inventory.driver is None or not facts.has_gpus:
        return _assessment(Reason.NO_GPU, inventory.why_empty or "the node has no NVIDIA GPU")
    return _assessment(Reason.UNREADABLE, "the node has an NVIDIA GPU, but the driver reports none")


def _assess_gpus(inventory: Inventory, counts: DeviceCounts) -> NodeAssessment:
    total = counts.healthy + counts.unhealthy
    if not total:
        return _assess_not_advertised(inventory, counts)
    sentence = f"{counts.healthy} of {total} {counts.unit} are available"
    if not counts.unhealthy and not inventory.faults:
        return _assessment(Reason.READY, sentence)
    reason = Reason.SOME_UNHEALTHY if counts.healthy else counts.unhealthy_by or Reason.ALL_UNHEALTHY
    unread = tuple(f"{fault.name} cannot be read: {fault.reason}" for fault in inventory.faults)
    assessment = _assessment(reason, f"{sentence}{_list_problems(counts.problems or unread)}")
    if counts.unhealthy_by is not None:
        return replace(assessment, todo=ADVICE.get(counts.unhealthy_by))
    return assessment if counts.needs_action else replace(assessment, todo=None)


def _list_problems(problems: tuple[str, ...]) -> str:
    """Lists the first problems as sentences, without the last period."""
    more = len(problems) - MAX_GPUS_IN_MESSAGE
    sentences = (*problems[:MAX_GPUS_IN_MESSAGE], *([f"{more} more problems"] if more > 0 else []))
    return "".join(f". {sentence}" for sentence in sentences)


def _assess_not_advertised(inventory: Inventory, counts: DeviceCounts) -> NodeAssessment:
    if not inventory.gpus:
        why = "; ".join(dict.fromkeys(fault.reason for fault in inventory.faults))
        return _assessment(Reason.UNREADABLE, f"none of the {len(inventory.faults)} GPUs can be read ({why})")
    if all(gpu.mig_enabled and not gpu.mig_devices for gpu in inventory.gpus):
        return _assessment(Reason.MIG_EMPTY, "MIG mode is enabled, but no MIG devices exist")
    if counts.excluded_by is Reason.MIG_NOT_ADVERTISED and all(gpu.mig_enabled for gpu in inventory.gpus):
        sentence = "all GPUs are in MIG mode and the MIG strategy is `none`, so nothing is advertised"
        return _assessment(Reason.MIG_NOT_ADVERTISED, sentence)
    if counts.excluded:
        reasons = "; ".join(counts.excluded_reasons) or "the config excludes all of them"
        reason = counts.excluded_by or Reason.EXCLUDED
        return _assessment(reason, f"none of the {counts.excluded} devices is advertised: {reasons}")
    return _assessment(Reason.NOT_ADVERTISED, f"none of the {len(inventory.gpus)} GPUs is advertised")


def _assessment(reason: Reason, sentence: str) -> NodeAssessment:
    return NodeAssessment(reason=reason, sentence=sentence, todo=ADVICE.get(reason))
