"""The command line of `gpunode doctor`. Doctor reads the node and the cluster, and changes nothing.

The exit status is 0 if pods can get the GPUs of the node, or the node should have none; 1 for a problem; 2 for a wrong command line.
"""

import sys
from collections.abc import Mapping, Sequence
from time import time as wall
from typing import Any

import click
from click.exceptions import Exit

from device_plugin.agent import NAME
from device_plugin.settings import PLUGIN
from gpu_core.settings.nvidia_config import nvidia_config_option
from gpu_core.settings.nvidia_settings import GpuSettings
from gpunode.cluster.connection import Connection, connect
from gpunode.doctor.agents import find_agent
from gpunode.doctor.dra.driver import find_driver, use_settings_of
from gpunode.doctor.fleet import diagnose_fleet
from gpunode.doctor.fleet_report import render_fleet_json, render_fleet_text
from gpunode.doctor.here import diagnose_here
from gpunode.doctor.remote import diagnose_remote
from gpunode.doctor.report import Report, render_json, render_text
from gpunode.doctor.settings import PROGRAM, CommandLine, environment_of, resolve_settings, use_config_of
from gpunode.output.terminal import open_terminal
from gpunode.output.verb import exit_on_errors
from node_core.domain.labels import node_name_problem
from node_core.errors import SettingsError
from node_core.runtime.command import agent_command, parse_command
from node_core.runtime.log import configure_log
from node_core.runtime.setting import GroupedOption, SettingOption

PROBLEMS_FOUND = 1
"""Exit status if there is a problem."""
USED = frozenset({
    "node_name", "kubeconfig", "simulate", "host_root", "lock_dir", "http_address", "tls_cert_file",
    "config_dir", "config_map", "node_label", "default_config", "fallback_strategies",
    "mig_strategy", "driver_root_ctr_path", "driver_library_dirs", "driver_root", "dev_root", "device_discovery_strategy",
    "mps_root", "kubelet_socket", "gate_label", "startup_taint", "disable_health_checks", "enable_health_checks",
})  # fmt: skip
"""The flags of the plugin that change what doctor finds. Other flags of the plugin are refused, but config files may contain them."""

OUTSIDE = frozenset({"node", "all", "selector", "context", "kubeconfig", "output"})
"""The flags of --node and --all. Without them, only --kubeconfig and --output apply."""


def _outside_option(*names: str, **more: Any) -> GroupedOption:
    return GroupedOption(list(names), heading="From outside, with your kubeconfig", **{"default": None, **more})


command = agent_command(
    "doctor",
    _outside_option(
        "--node", metavar="NAME", help="Check this Node from outside: its conditions, labels, devices, pods and Events."
    ),
    _outside_option("--all", is_flag=True, default=False, help="Check all Nodes."),
    _outside_option(
        "-l", "--selector", metavar="LABELS", help="With --all: only Nodes with these labels, as in kubectl."
    ),
    _outside_option("--context", metavar="NAME", help="The context of the kubeconfig file."),
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
    " Changes nothing. Run it in the pod of gpu-device-plugin or gpu-dra-driver, or as root on a host. Doctor uses the settings of the"
    " running agent; the flags take precedence. With --node or --all, doctor runs anywhere and reads only the API server.",
    examples=(
        ("", "the node that this runs on: as root, or in the pod of gpu-device-plugin"),
        ("--node gpu-7", "the Node gpu-7, from outside, with your kubeconfig"),
        ("--all", "all Nodes: those with problems, and what to do"),
    ),
    statuses={
        "0": "Pods can get the GPUs, or the node should have none.",
        "1": "There is a problem, or a request failed.",
        "130": "Ctrl-C ended the command.",
        "141": "The program that reads the output ended.",
    },
)
for option in command.params:
    if isinstance(option, SettingOption) and option.setting.name not in USED:
        option.hidden = True


def main(arguments: Sequence[str]) -> int:
    try:
        with exit_on_errors(PROGRAM):
            values = parse_command(command, arguments, PROGRAM)
            return 0 if values is None else _run(values, arguments)
    except Exit as end:
        return end.exit_code


def _run(values: Mapping[str, Any], arguments: Sequence[str]) -> int:
    _refuse_flags(values)
    configure_log("auto", "error", sys.stderr)
    is_json, terminal = values["output"] == "json", open_terminal()
    if values["all"]:
        fleet = diagnose_fleet(_connect(values), values["selector"] or "", wall())
        click.echo(render_fleet_json(fleet) if is_json else render_fleet_text(fleet, terminal), nl=False)
        return PROBLEMS_FOUND if fleet.nodes else 0
    remote = values["node"] is not None
    report = diagnose_remote(_connect(values), values["node"], wall()) if remote else _diagnose(values, arguments)
    click.echo(render_json(report) if is_json else render_text(report, terminal), nl=False)
    return PROBLEMS_FOUND if report.problems else 0


def _diagnose(given: Mapping[str, Any], arguments: Sequence[str]) -> Report:
    plugin = use_config_of(given, find_agent(given["lock_dir"], NAME, given["node_name"]))
    driver = find_driver(given["lock_dir"], given["node_name"])
    values: Mapping[str, Any] = {**given, "node_name": given["node_name"] or plugin.node_name or driver.state.node_name}
    agent = plugin
    if plugin.process is None and driver.values is not None:
        values, agent = use_settings_of(driver, values), driver.state
    own = CommandLine(command=command, arguments=tuple(arguments), program=PROGRAM, overrides={}, is_agent=False)
    with environment_of(agent):
        return diagnose_here(resolve_settings(own, values, plugin), plugin, driver)


def _connect(values: Mapping[str, Any]) -> Connection:
    """--kubeconfig has KUBECONFIG as environment variable, of which kubectl ignores missing files. So does `connect`."""
    return connect(values["kubeconfig"] if "kubeconfig" in values["given"] else None, values["context"])


def _refuse_flags(values: Mapping[str, Any]) -> None:
    """Raises SettingsError for flags that have no effect."""
    form = "--all" if values["all"] else "--node" if values["node"] is not None else ""
    given = (option for option in command.params if option.name in values["given"])
    problems = [f"{option.opts[0]}: {why}" for option in given if (why := _why_unused(option, form)) is not None]
    if form and values["node"] is not None:
        name_problem = node_name_problem(values["node"])
        problems += [f"--node: {name_problem}"] if name_problem is not None else []
    if values["all"] and values["node"] is not None:
        problems = ["--node and --all cannot be used together. Remove one of them."]
    if problems:
        raise SettingsError(problems)


def _why_unused(option: click.Parameter, form: str) -> str | None:
    """form: --node, --all, or empty for this node."""
    if not form and option.name in ("selector", "context"):
        return "has no effect without --all." if option.name == "selector" else "has no effect without --node or --all."
    if not form:
        is_hidden = isinstance(option, SettingOption) and option.hidden
        return "doctor does not use this flag. Remove it." if is_hidden else None
    if option.name == "selector" and form == "--node":
        return "selects Nodes of --all, and has no effect with --node. Remove it."
    return (
        None
        if option.name in OUTSIDE
        else f"is about the node that doctor runs on, and has no effect with {form}. Remove it."
    )
