"""Finds the DaemonSets that run the agents, and those of other programs that write the same labels or advertise the same devices. PURE.

An agent is recognized by the command of its container, so a DaemonSet may have any name. Other programs are recognized by the names that
their charts and manifests give. Source: the charts of NVIDIA's device plugin, GPU Feature Discovery, Node Feature Discovery, HAMi and
NVIDIA's DRA driver; GKE's manifests.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from device_plugin.agent import NAME as PLUGIN
from device_plugin.gate import Gate, parse_gate
from device_plugin.health.startup_taint import parse_startup_taint
from gfd.agent import NAME as GFD
from gpunode.doctor.agents import find_program
from gpunode.doctor.objects import DaemonSet, ProgramContainer
from nfd_lite.agent import NAME as NFD
from node_core.domain.taints import Taint
from node_core.scheduling.filters import find_refusals
from node_core.scheduling.objects import Node, Pod, PodSpec, Toleration

DRA = "dra"
"""NVIDIA's DRA driver can allocate the same GPUs as a device plugin."""
OTHERS: Mapping[str, str | None] = {
    "mps-control-daemon": None,
    "topology-updater": None,
    "gpu-feature-discovery": GFD,
    "node-feature-discovery": NFD,
    "nfd-worker": NFD,
    "dra-driver-gpu": DRA,
    "nvidia-device-plugin": PLUGIN,
    "nvidia-gpu-device-plugin": PLUGIN,
    "k8s-device-plugin": PLUGIN,
    "hami-device-plugin": PLUGIN,
}
"""A part of the name of a DaemonSet, container or image -> the agent that does the same; None for none. The first match applies."""
_TOLERATIONS = tuple(
    Toleration(key=f"node.kubernetes.io/{name}", operator="Exists")
    for name in ("not-ready", "unreachable", "disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")
)
"""Kubernetes adds these tolerations to the pods of every DaemonSet. Source: Kubernetes documentation, DaemonSet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a DaemonSet runs. key: `namespace/name`. roles: the agents, or the agents that do the same. has_agents: it runs agents.

    gate, startup_taint: of gpu-device-plugin. port: of /metrics, by name or number; empty without one. scheme: http or https.
    """

    key: str
    roles: tuple[str, ...]
    has_agents: bool
    daemon_set: DaemonSet
    gate: Gate = field(default_factory=Gate)
    startup_taint: Taint | None = None
    port: str = ""
    scheme: str = "http"

    def places_pod_on(self, node: Node) -> bool:
        """Returns whether the DaemonSet should have a pod on the Node. Its resources are not considered."""
        template = self.daemon_set.spec.template.spec
        spec = PodSpec(
            node_selector=template.node_selector,
            affinity=template.affinity,
            tolerations=(*template.tolerations, *_TOLERATIONS),
        )
        return not find_refusals(Pod(metadata=self.daemon_set.metadata, spec=spec), {}, node, {})

    @property
    def agents(self) -> str:
        """For sentences."""
        return " and ".join(self.roles)


def recognize_program(daemon_set: DaemonSet) -> Program | None:
    """Returns None for a DaemonSet that does not concern GPUs or features of nodes."""
    for container in daemon_set.spec.template.spec.containers:
        found = find_program((*container.command, *container.args))
        if found is not None:
            return _agent_program(daemon_set, container, found[0].agents, found[1])
    role = next(filter(None, map(find_role, _names(daemon_set))), None)
    return None if role is None else Program(key=daemon_set.key, roles=(role,), has_agents=False, daemon_set=daemon_set)


def find_role(name: str) -> str | None:
    """Returns the agent that does the same as a program with this name."""
    return next((role for part, role in OTHERS.items() if part in name), None)


def _agent_program(
    daemon_set: DaemonSet, container: ProgramContainer, agents: tuple[str, ...], arguments: tuple[str, ...]
) -> Program:
    environment = {each.name: each.value for each in container.env}
    settings = _Settings(arguments, environment)
    port = next((each for each in container.ports if each.name == "http"), None)
    return Program(
        key=daemon_set.key,
        roles=agents,
        has_agents=True,
        daemon_set=daemon_set,
        gate=settings.gate(),
        startup_taint=settings.startup_taint(),
        port=str(port.container_port) if port is not None else "",
        scheme="https" if settings.value("tls-cert-file", "TLS_CERT_FILE") else "http",
    )


def _names(daemon_set: DaemonSet) -> Iterator[str]:
    """Yields the names of the DaemonSet, of its containers and of their images, without the registry and the tag."""
    containers = daemon_set.spec.template.spec.containers
    yield daemon_set.metadata.name
    yield from (each.name for each in containers)
    yield from (each.image.rpartition("/")[2].partition("@")[0].partition(":")[0] for each in containers)


@dataclass(frozen=True, slots=True)
class _Settings:
    """The command line and environment of an agent. Its config files are not visible from outside."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]

    def value(self, flag: str, variable: str) -> str | None:
        """Returns the last value of a flag, `--flag=value` or `--flag value`, or the value of the environment variable."""
        found = self.environment.get(variable)
        for word, following in pairwise((*self.arguments, "")):
            name, equals, value = word.partition("=")
            if name.startswith("-") and name.lstrip("-") == flag:
                found = value if equals else following
        return found

    def gate(self) -> Gate:
        text = self.value("gate-label", "GATE_LABEL")
        try:
            return Gate() if text is None else parse_gate(text)
        except ValueError:
            return Gate()

    def startup_taint(self) -> Taint | None:
        text = self.value("startup-taint", "STARTUP_TAINT")
        try:
            return parse_startup_taint(text) if text else None
        except ValueError:
            return None
