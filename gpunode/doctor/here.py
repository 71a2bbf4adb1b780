"""Diagnoses the node on which doctor runs: the GPUs, the agents, the kubelet and the Node object."""

from collections.abc import Iterator, Sequence

from device_plugin.agent import NAME
from device_plugin.devices import Plan
from device_plugin.health.examine import Examination, examine
from device_plugin.plugin import socket_path
from device_plugin.settings import PluginSettings
from gfd.agent import NAME as GFD
from gpu_core.domain.node_assessment import Reason
from gpunode.doctor.agents import AgentState, find_agent
from gpunode.doctor.check import Check, note, ok, problem
from gpunode.doctor.cluster import ClusterState, check_node, read_cluster_state
from gpunode.doctor.gpus import check_gpus, list_gpus
from gpunode.doctor.health_port import check_health_port
from gpunode.doctor.kubelet import check_kubelet, check_plugin_sockets
from gpunode.doctor.node_checks import check_simulation_label, expects_gpus
from gpunode.doctor.report import Report
from gpunode.doctor.settings import ResolvedSettings, select_settings
from nfd_lite.agent import NAME as NFD
from node_core.kubelet.sockets import is_served
from node_core.runtime.http_port import parse_address
from node_core.runtime.services import Services
from node_core.values import replace

START = (
    "start gpu-device-plugin on this node. If it runs in a pod, run doctor in that pod:"
    " kubectl -n gpunode exec POD -- gpunode doctor"
)


def diagnose_here(resolved: ResolvedSettings, plugin: AgentState) -> Report:
    """plugin: the state of gpu-device-plugin on this node."""
    services, dependencies = Services(), resolved.dependencies
    state = read_cluster_state(dependencies, is_agent=resolved.is_agent)
    settings, mig_strategy, config_checks = select_settings(resolved, state.labels, services)
    examination = examine(NAME, settings, dependencies, services, mig_strategy)
    is_expected = expects_gpus(state.node, settings.gate)
    has_gpus = is_expected or examination.assessment.reason is not Reason.NO_GPU
    checks = [*_check_simulation(resolved, state), *check_gpus(examination, is_gpu_expected=is_expected)]
    if not has_gpus:
        checks += state.checks
        return _report(resolved, examination, checks, has_gpus=False)
    is_open = state.node is None or settings.gate.is_open(state.node.labels)
    plan = examination.plan if is_open else Plan()
    plugin = _recognize_other_plugin(plugin, settings, plan)
    is_running = plugin.is_running is not False
    checks += [*_check_agents(plugin, resolved), resolved.check, *config_checks, *_check_health(plugin, resolved)]
    checks += check_kubelet(settings.kubelet_socket, writes=resolved.is_agent)
    checks += check_plugin_sockets(settings.kubelet_socket.parent, plan.resources) if is_running else ()
    checks += state.checks
    checks += check_node(state, settings, plan, services.wall(), is_agent=resolved.is_agent, is_running=is_running)
    return _report(resolved, examination, checks, has_gpus=True)


def _report(resolved: ResolvedSettings, examination: Examination, checks: Sequence[Check], *, has_gpus: bool) -> Report:
    return Report(
        checks=checks,
        gpus=list_gpus(examination),
        has_gpus=has_gpus,
        simulated=resolved.dependencies.common.simulate,
        versions=examination.versions,
    )


def _check_simulation(resolved: ResolvedSettings, state: ClusterState) -> Iterator[Check]:
    if (scenario := resolved.dependencies.common.simulate) is not None:
        yield note("simulation", f"the GPUs are simulated (--simulate {scenario}): containers get no real GPU")
    else:
        yield from check_simulation_label(state.labels)


def _check_agents(plugin: AgentState, resolved: ResolvedSettings) -> Iterator[Check]:
    if plugin.is_running:
        yield ok("agent", plugin.sentence)
    elif plugin.is_running is None:
        yield note("agent", plugin.sentence)
    else:
        yield problem("agent", plugin.sentence, START, reason=str(Reason.NOT_REGISTERED))
    for agent in (NFD, GFD):
        state = find_agent(resolved.dependencies.common.lock_dir, agent, resolved.dependencies.common.node_name)
        if state.is_running:  # in pods, these agents have no lock
            yield ok("agent", state.sentence)


def _recognize_other_plugin(plugin: AgentState, settings: PluginSettings, plan: Plan) -> AgentState:
    """If no process has the lock of the plugin but a process serves the resources, the state of the plugin is unknown."""
    paths = [socket_path(settings.kubelet_socket.parent, resource) for resource in plan.resources]
    if plugin.is_running is not False or not any(map(is_served, paths)):
        return plugin
    sentence = f"{plugin.sentence}. But a process serves GPUs: another device plugin, or gpu-device-plugin with another --lock-dir"
    return replace(plugin, is_running=None, sentence=sentence)


def _check_health(plugin: AgentState, resolved: ResolvedSettings) -> Iterator[Check]:
    address = resolved.values["http_address"]
    has_port = bool(address) and parse_address(address)[1] != 0
    if has_port and (resolved.is_agent or "http_address" in resolved.values["given"]):
        yield from check_health_port(address, resolved.values["tls_cert_file"])
    elif plugin.is_running:
        yield note("agent health", "/readyz of gpu-device-plugin was not read, because doctor does not know the port")
