"""Diagnoses the node on which doctor runs: the GPUs, the agents, the kubelet and the Node object."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from device_plugin.agent import NAME
from device_plugin.devices import Plan
from device_plugin.health.examine import Examination, examine
from device_plugin.plugin import socket_path
from device_plugin.settings import PluginSettings
from dra_driver.names import AGENT as DRA_DRIVER
from gfd.agent import NAME as GFD
from gpu_core.assembly import Dependencies
from gpu_core.domain.node_assessment import Reason
from gpunode.doctor.agents import AgentState, find_agent
from gpunode.doctor.check import Check, note, ok, problem
from gpunode.doctor.cluster import ClusterState, check_node, read_cluster_state
from gpunode.doctor.dra.driver import DraDriver
from gpunode.doctor.dra.presence import DraNode, NodeSlices, find_dra_node, list_node_slices
from gpunode.doctor.gpus import check_gpus, list_gpus
from gpunode.doctor.health_port import check_health_port
from gpunode.doctor.kubelet import check_kubelet, check_plugin_sockets
from gpunode.doctor.node_checks import check_kubelet_conditions, check_simulation_label, check_taints, expects_gpus
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


def diagnose_here(resolved: ResolvedSettings, plugin: AgentState, driver: DraDriver) -> Report:
    """plugin, driver: the state of gpu-device-plugin and of gpu-dra-driver on this node."""
    services, dependencies = Services(), resolved.dependencies
    state = read_cluster_state(dependencies, is_agent=resolved.is_agent)
    settings, mig_strategy, config_checks = select_settings(resolved, state.labels, services)
    dra = _find_dra(driver, settings, dependencies, state)
    if dra.is_in_use and not plugin.is_running and not _has_plugin_socket(dra, settings.kubelet_socket.parent):
        return _diagnose_dra(resolved, settings, state, dra, services)
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
    checks += _check_dra(dra, dependencies, state, examination) if dra.is_present else ()
    return _report(resolved, examination, checks, has_gpus=True)


def _diagnose_dra(
    resolved: ResolvedSettings, settings: PluginSettings, state: ClusterState, dra: DraNode, services: Services
) -> Report:
    """Diagnoses a node whose GPUs gpu-dra-driver offers, and not gpu-device-plugin."""
    examination = examine(DRA_DRIVER, replace(settings, mig_strategy="mixed"), resolved.dependencies, services)
    is_expected = bool(dra.slices.slices) or expects_gpus(state.node, settings.gate)
    has_gpus = is_expected or examination.assessment.reason is not Reason.NO_GPU
    checks = [*_check_simulation(resolved, state), *check_gpus(examination, is_gpu_expected=is_expected)]
    if dra.values is not None:
        checks.append(ok("settings", f"doctor uses the settings of the running {DRA_DRIVER}"))
    else:
        checks.append(note("settings", f"doctor uses the flags of this command, and not those of {DRA_DRIVER}"))
    checks += [*_check_labellers(resolved), *state.checks]
    if state.node is not None:
        checks += check_kubelet_conditions(state.node, services.wall())
        checks += check_taints(state.node, None)
    checks += _check_dra(dra, resolved.dependencies, state, examination)
    return _report(resolved, examination, checks, has_gpus=has_gpus)


def _find_dra(driver: DraDriver, settings: PluginSettings, dependencies: Dependencies, state: ClusterState) -> DraNode:
    name = dependencies.common.node_name
    slices = NodeSlices(problem="the Node was not read")
    if state.node is not None:
        slices = list_node_slices(dependencies.node.api, name)
    return find_dra_node(driver, settings.kubelet_socket.parent.parent, settings.cdi_folder, name, slices)


def _check_dra(
    dra: DraNode, dependencies: Dependencies, state: ClusterState, examination: Examination
) -> Iterator[Check]:
    from gpunode.doctor.dra.here import check_dra  # noqa: PLC0415 - imports the driver, which most nodes do not have

    is_unhealthy = any(not each.phase.is_usable for each in examination.gpu_assessments)
    has_gpus = examination.assessment.reason is not Reason.NO_GPU
    yield from check_dra(dra, dependencies, state.node, is_unhealthy=is_unhealthy, has_gpus=has_gpus)


def _has_plugin_socket(dra: DraNode, folder: Path) -> bool:
    """Whether a process serves devices of NVIDIA to the kubelet. folder: of the sockets, unless the driver states the kubelet's root."""
    known = folder if dra.values is None else dra.paths.registry.parent / folder.name
    return any(map(is_served, known.glob("nvidia-*.sock")))


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
    yield from _check_labellers(resolved)


def _check_labellers(resolved: ResolvedSettings) -> Iterator[Check]:
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
