"""The command line of `gpunode doctor`. Doctor reads the node and the cluster, and changes nothing.

The exit status is 0 if pods can get the GPUs of the node, or the node should have none; 1 for a problem; 2 for a wrong command line.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import click

from device_plugin.agent import NAME
from device_plugin.devices import Plan
from device_plugin.health.examine import Examination, examine
from device_plugin.plugin import socket_path
from device_plugin.settings import PLUGIN, PluginSettings
from gfd.agent import NAME as GFD
from gpu_core.domain.node_assessment import Reason
from gpu_core.settings.nvidia_config import nvidia_config_option
from gpu_core.settings.nvidia_settings import GpuSettings
from gpunode.doctor.agents import AgentState, find_agent
from gpunode.doctor.check import Check, note, ok, problem
from gpunode.doctor.cluster import ClusterState, check_node, read_cluster_state
from gpunode.doctor.gpus import check_gpus, list_gpus
from gpunode.doctor.health_port import check_health_port
from gpunode.doctor.kubelet import check_kubelet, check_plugin_sockets
from gpunode.doctor.node_checks import expects_gpus
from gpunode.doctor.report import Report, render_json, render_text
from gpunode.doctor.settings import (
    PROGRAM,
    CommandLine,
    ResolvedSettings,
    environment_of,
    resolve_settings,
    select_settings,
    use_config_of,
)
from gpunode.output.terminal import open_terminal
from nfd_lite.agent import NAME as NFD
from node_core.domain.labels import SIMULATED
from node_core.errors import SettingsError
from node_core.kubelet.sockets import is_served
from node_core.runtime.command import agent_command, parse_command, report_usage
from node_core.runtime.http import parse_address
from node_core.runtime.log import configure_log
from node_core.runtime.services import Services
from node_core.runtime.setting import SettingOption

PROBLEMS_FOUND = 1
"""Exit status if there is a problem."""
START = (
    "start gpu-device-plugin on this node. If it runs in a pod, run doctor in that pod:"
    " kubectl -n gpunode exec POD -- gpunode doctor"
)
USED = frozenset({
    "node_name", "kubeconfig", "simulate", "host_root", "lock_dir", "http_address", "tls_cert_file",
    "config_dir", "config_map", "node_label", "default_config", "fallback_strategies",
    "mig_strategy", "driver_root_ctr_path", "driver_library_dirs", "driver_root", "dev_root", "device_discovery_strategy",
    "mps_root", "kubelet_socket", "gate_label", "startup_taint", "disable_health_checks", "enable_health_checks",
})  # fmt: skip
"""The flags of the plugin that change what doctor finds. Other flags of the plugin are refused, but config files may contain them."""

command = agent_command(
    "doctor",
    *PLUGIN,
    nvidia_config_option("plugin"),
    GpuSettings,
    click.Option(["-o", "--output"], type=click.Choice(("text", "json")), default="text", help="The output format."),
    agent="DEVICE_PLUGIN",
    changes={
        "http_address": {
            "help": "Address at which the plugin serves /readyz. Default: the address of the running plugin. Empty: do not read /readyz."
        }
    },
    help="Check whether pods can get the GPUs of this node: the GPUs, the agents, the kubelet and the Node object. State what to do."
    " Changes nothing. Run it in the pod of gpu-device-plugin, or as root on a host. Doctor uses the settings of the running plugin; the"
    " flags take precedence. Exit status: 0 if pods can get the GPUs, or the node should have none; 1 for a problem; 2 for a wrong"
    " command line.",
)
for option in command.params:
    if isinstance(option, SettingOption) and option.setting.name not in USED:
        option.hidden = True


def main(arguments: Sequence[str]) -> int:
    try:
        values = parse_command(command, arguments, PROGRAM)
        if values is None:
            return 0
        _refuse_unused(values)
        configure_log("auto", "error", sys.stderr)
        plugin = use_config_of(values, find_agent(values["lock_dir"], NAME, values["node_name"]))
        values["node_name"] = values["node_name"] or plugin.node_name
        own = CommandLine(command=command, arguments=tuple(arguments), program=PROGRAM, overrides={}, is_agent=False)
        with environment_of(plugin):
            report = _diagnose(resolve_settings(own, values, plugin), plugin)
    except SettingsError as error:
        return report_usage(error, PROGRAM)
    click.echo(render_json(report) if values["output"] == "json" else render_text(report, open_terminal()), nl=False)
    return PROBLEMS_FOUND if report.problems else 0


def _refuse_unused(values: Mapping[str, Any]) -> None:
    unused = [
        option
        for option in command.params
        if isinstance(option, SettingOption) and option.hidden and option.name in values["given"]
    ]
    if unused:
        raise SettingsError([f"{option.opts[0]}: doctor does not use this flag. Remove it." for option in unused])


def _diagnose(resolved: ResolvedSettings, plugin: AgentState) -> Report:
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
    elif SIMULATED in state.labels:
        yield note("simulation", f"the Node has the label {SIMULATED}: an agent on this node simulates GPUs")


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
