"""`gpunode cleanup`: once, for a person; or with --stay as a pod on each node, which is ready when nothing is left."""

import sys
from collections.abc import Sequence
from typing import Any

import click

from device_plugin.cdi.write import CDI_FOLDER
from gpunode.cleanup.agent import CleanupAgent
from gpunode.cleanup.clean import Outcome, Places, clean
from node_core.errors import SettingsError
from node_core.kube.client import NodeApi
from node_core.kube.node_feature import pod_namespace
from node_core.kubelet.sockets import KUBELET_SOCKET
from node_core.runtime.command import AgentCommand, parse_command, report_usage
from node_core.runtime.flag_types import PathType
from node_core.runtime.flags import bool_option, common_options
from node_core.runtime.log import configure_log
from node_core.runtime.process import Built, Program, run_program
from node_core.runtime.settings import CommonSettings, common_settings
from node_core.version import VERSION

PROG = "gpunode cleanup"
INCOMPLETE = 1
"""Exit status when something is left."""


@click.command(cls=AgentCommand, name="cleanup")
@click.option("--cdi-dir", envvar="CDI_DIR", default=str(CDI_FOLDER), type=PathType(), help="Where our CDI specs are.")
@click.option(
    "--kubelet-socket",
    envvar="KUBELET_SOCKET",
    default=str(KUBELET_SOCKET),
    type=PathType(),
    help="The kubelet's registration socket; ours lie beside it.",
)
@click.option(
    "--namespace",
    envvar="NAMESPACE",
    help="Of the agents' pods and NodeFeature objects; in a pod its own if nothing is said.",
)
@bool_option("--stay", envvar="CLEANUP_STAY", default=False, help_text="Be ready when nothing is left, until SIGTERM.")
@common_options(agent="CLEANUP", address=":8080")
def command(**_: Any) -> None:
    """Takes from this node what is ours: labels, annotations, taints, extended resources, the condition, objects, CDI specs, files."""


def main(arguments: Sequence[str]) -> int:
    try:
        values = parse_command(command, arguments, PROG)
        if values is None:
            return 0
        stay, settings = values["stay"], _settings(values)
        places = _places(values, settings)
    except SettingsError as error:
        return report_usage(error, PROG)
    api = NodeApi(settings.node_name, kubeconfig=settings.kubeconfig, user_agent=f"gpunode-cleanup/{VERSION}")
    return run_program(lambda: _program(settings, api, places), PROG) if stay else _once(api, places)


def _settings(values: dict[str, Any]) -> CommonSettings:
    settings = common_settings(values)
    if not settings.node_name:
        raise SettingsError(["--node-name: is missing: name this Node, or set NODE_NAME (spec.nodeName in a pod)"])
    return settings


def _places(values: dict[str, Any], settings: CommonSettings) -> Places:
    return Places(
        cdi=values["cdi_dir"],
        sockets=values["kubelet_socket"].parent,
        state=settings.lock_dir,
        namespace=values["namespace"] or _own_namespace(),
    )


def _own_namespace() -> str:
    """Another one would hide agents that run, and all that they have there."""
    namespace = pod_namespace()
    if namespace is None:
        raise SettingsError(["--namespace: is missing: name the namespace of the agents, usually gpunode"])
    return namespace


def _program(settings: CommonSettings, api: NodeApi, places: Places) -> Program:
    return Program(
        common=settings,
        build=lambda services: Built(agents=(CleanupAgent(lambda: clean(api, places), services),)),
    )


def _once(api: NodeApi, places: Places) -> int:
    configure_log("auto", "error", sys.stderr)
    outcome = clean(api, places)
    click.echo(render(outcome), nl=False)
    for problem in outcome.problems:
        click.echo(problem, err=True)
    return INCOMPLETE if outcome.problems else 0


def render(outcome: Outcome) -> str:
    if not outcome.taken and not outcome.problems:
        return "nothing of ours was there\n"
    return "".join(f"gone: {what}\n" for what in outcome.taken)
