"""Checks a Node from outside, with what the API server has: the Node and the pods of the agents. PURE.

The checks are in the order of causes, so the first problem of a Node is the one to solve first.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from device_plugin.agent import NAME as PLUGIN
from device_plugin.gate import Gate
from dra_driver.names import AGENT as DRA_DRIVER
from gfd.agent import NAME as GFD
from gpu_core.domain.node_assessment import Reason
from gpunode.cluster.fleet import GpuNode, describe_node
from gpunode.doctor.check import Check, note, ok, problem
from gpunode.doctor.device_checks import check_devices, check_gfd_labels, find_pci_label
from gpunode.doctor.node_checks import (
    check_condition,
    check_kubelet_conditions,
    check_label,
    check_simulation_label,
    check_taints,
    expects_gpus,
)
from gpunode.doctor.programs import DRA, Program
from node_core.domain.conditions import GPU_READY
from node_core.scheduling.objects import Node

NO_POD, TWO_PROGRAMS, NOT_INSTALLED = "AgentMissing", "TwoPrograms", "NotInstalled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The DaemonSets of the cluster that run the agents, or other programs that do the same. is_known: False if they cannot be listed."""

    programs: tuple[Program, ...] = ()
    is_known: bool = True

    def agent_programs(self, role: str) -> tuple[Program, ...]:
        return tuple(each for each in self.programs if each.has_agents and role in each.roles)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePods:
    """The pods of these programs on one Node. names: key of the program -> name of the pod. running: the programs whose containers run.

    checks: one for each pod of an agent.
    """

    checks: tuple[Check, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    running: frozenset[str] = frozenset()


NO_PODS = NodePods()


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """facts: about the Node. has_gpus: False if the Node has no GPU, and should have none."""

    facts: GpuNode
    checks: tuple[Check, ...]
    has_gpus: bool

    @property
    def problems(self) -> tuple[Check, ...]:
        return tuple(each for each in self.checks if each.status == "problem")


def diagnose_node(node: Node, deployment: Deployment, pods: NodePods, wall: float) -> Diagnosis:
    """wall: Unix seconds."""
    plugin = select_plugin(deployment, pods)
    gate = plugin.gate if plugin is not None else Gate()
    programs = tuple(check_programs(node, deployment, pods))
    facts = describe_node(node)
    if not facts.resources and not _has_gpus(node, gate):
        sentence = "the Node has no GPU: neither a label nor its capacity states one"
        return Diagnosis(
            facts=facts, checks=(ok("gpus", sentence, reason=str(Reason.NO_GPU)), *programs), has_gpus=False
        )
    checks = (
        *check_kubelet_conditions(node, wall),
        *programs,
        *check_simulation_label(node.labels),
        *_check_gpus(node, facts, plugin, deployment, pods, wall),
        *check_taints(node, plugin.startup_taint if plugin is not None else None),
    )
    return Diagnosis(facts=facts, checks=checks, has_gpus=True)


def select_plugin(deployment: Deployment, pods: NodePods) -> Program | None:
    """Returns the program that runs gpu-device-plugin on the Node, or would run it; None if the cluster has none."""
    plugins = deployment.agent_programs(PLUGIN)
    return next((each for each in plugins if each.key in pods.names), next(iter(plugins), None))


def check_programs(node: Node, deployment: Deployment, pods: NodePods) -> Iterator[Check]:
    """Checks the pods of the agents, and whether another program on the Node does the same."""
    yield from pods.checks
    for program in deployment.programs:
        if program.has_agents and program.key not in pods.names and program.places_pod_on(node):
            namespace, _, name = program.key.partition("/")
            todo = f"kubectl -n {namespace} describe daemonset {name}: the Events state why it creates no pod"
            sentence = f"{program.agents} does not run: the DaemonSet {program.key} has no pod on this Node"
            yield problem("agent", sentence, todo, reason=NO_POD)
    for other in deployment.programs:
        if not other.has_agents and other.key in pods.names:
            yield _check_other(other, deployment, pods)


def _check_other(other: Program, deployment: Deployment, pods: NodePods) -> Check:
    """other: a program of others on the Node."""
    (role,) = other.roles
    if role == DRA:
        return note(
            "other programs",
            f"{other.key} can allocate the GPUs of this Node by DRA, which gpu-device-plugin does not know",
        )
    agent = next((each for each in deployment.agent_programs(role) if each.key in pods.names), None)
    if agent is None:
        return note("other programs", f"{other.key} runs on this Node in place of {role}")
    what = "advertise the same devices, and the kubelet uses the one that registers last"
    if role != PLUGIN:
        what = "write the same labels, and overwrite each other"
    todo = f"remove {other.key} from this Node, or do not run {role} here (docs/how-to/migrate.md)"
    return problem("other programs", f"{other.key} and {agent.key} {what}", todo, reason=TWO_PROGRAMS)


def _check_gpus(
    node: Node, facts: GpuNode, plugin: Program | None, deployment: Deployment, pods: NodePods, wall: float
) -> Iterator[Check]:
    """plugin: see select_plugin. As on the node, a closed gate is the only problem of the devices.

    What another problem explains is a note: without gpu-device-plugin no device is allocatable, without a driver there are no labels.
    """
    if _has_dra(deployment, pods) and (plugin is None or plugin.key not in pods.names):
        yield _check_pci_label(node)
        sentence = (
            f"{DRA_DRIVER} offers the GPUs of this Node. Run doctor in its pod to check its claims and ResourceSlices"
        )
        yield note("dra", sentence)
        return
    is_running = plugin is None or plugin.key in pods.running or not deployment.is_known
    if plugin is None and deployment.is_known and node.condition(GPU_READY) is None:
        yield from _check_absence(deployment, pods)
    else:
        gate = plugin.gate if plugin is not None else Gate()
        yield check_label(node, gate)
        if not gate.is_open(node.labels):
            return
        yield check_condition(node, wall, is_running=is_running)
    yield _check_pci_label(node)
    condition = node.condition(GPU_READY)
    is_ready = condition is None or condition.status == "True"
    has_all = is_ready and (condition is None or condition.reason != Reason.SOME_UNHEALTHY)
    yield from check_devices(facts.resources, is_explained=not (has_all and is_running))
    has_gfd = any(each.key in pods.running for each in deployment.agent_programs(GFD))
    yield from check_gfd_labels(node, facts.resources, wall, is_expected=has_gfd and is_ready)


def _has_dra(deployment: Deployment, pods: NodePods) -> bool:
    return any(each.key in pods.names for each in deployment.agent_programs(DRA_DRIVER))


def _check_pci_label(node: Node) -> Check:
    if (key := find_pci_label(node.labels)) is not None:
        return ok("pci", f"the Node has the label {key}=true")
    return note("pci", "the Node has no label for an NVIDIA device on the PCI bus")


def _check_absence(deployment: Deployment, pods: NodePods) -> Iterator[Check]:
    """Checks whether another device plugin runs on a Node without gpu-device-plugin."""
    if not any(PLUGIN in each.roles and each.key in pods.names for each in deployment.programs):
        todo = "install the agents (docs/how-to/install.md)"
        sentence = "neither gpu-device-plugin nor another device plugin for GPUs runs on this Node"
        yield problem("agent", sentence, todo, reason=NOT_INSTALLED)


def _has_gpus(node: Node, gate: Gate) -> bool:
    condition = node.condition(GPU_READY)
    has_condition = condition is not None and condition.reason != Reason.NO_GPU
    return has_condition or expects_gpus(node, gate) or find_pci_label(node.labels) is not None
