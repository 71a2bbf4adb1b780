"""The command line of `gpunode cleanup`: runs once, or with --stay until SIGTERM, as the cleanup DaemonSet does."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click

from dra_driver.claims.mps_daemons import dra_root
from gpu_core.cdi.write import CDI_FOLDER
from gpu_core.mps.tools import DriverPrograms, mps_tools
from gpunode.cleanup.agent import cleanup_loop
from gpunode.cleanup.clean import CleanupTargets, Outcome, clean
from gpunode.cleanup.node import DryRunApi
from mig_manager.settings import STATE_DIR
from node_core.errors import SettingsError
from node_core.kube.client import NodeApi
from node_core.kube.node_feature import find_pod_namespace
from node_core.kubelet.sockets import KUBELET_SOCKET
from node_core.runtime.command import agent_command, parse_command, report_usage
from node_core.runtime.log import configure_log
from node_core.runtime.process import ProcessSpec, Program, run_program
from node_core.runtime.setting import setting
from node_core.runtime.settings import CommonSettings, common_settings
from node_core.version import VERSION

PROGRAM = "gpunode cleanup"
INCOMPLETE = 1
"""Exit status if something could not be removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupSettings:
    """The settings of cleanup in addition to CommonSettings."""

    cdi_dir: Path = setting("--cdi-dir CDI_DIR", CDI_FOLDER, "The folder of the CDI specifications.")
    kubelet_socket: Path = setting(
        "--kubelet-socket KUBELET_SOCKET",
        KUBELET_SOCKET,
        "The kubelet's registration socket, next to the sockets of the device plugin.",
    )
    mps_root: str = setting(
        "--mps-root MPS_ROOT",
        "/run/nvidia/mps",
        "The folder of MPS on the host. Cleanup stops the MPS daemons of the agents and restores compute modes.",
    )
    mig_state_dir: Path = setting(
        "--mig-state-dir MIG_MANAGER_STATE_DIR", STATE_DIR, "The folder of mig-manager's records (--state-dir)."
    )
    namespace: str | None = setting(
        "--namespace NAMESPACE",
        None,
        "The namespace of the agents' pods and NodeFeature objects. Default in a pod: the namespace of the pod.",
    )
    only: Literal["cluster", "host"] | None = setting(
        "--only CLEANUP_ONLY",
        None,
        "What to remove. cluster: only what the agents wrote in the cluster, from any machine. host: only files of this machine, without"
        " the cluster. Default: both, on the node itself.",
    )
    dry_run: bool = setting("--dry-run CLEANUP_DRY_RUN", False, "Print what would be removed, and remove nothing.")
    stay: bool = setting(
        "--stay CLEANUP_STAY",
        False,
        "Continue to run after cleanup, and report ready, until SIGTERM (used by the DaemonSet).",
    )


command = agent_command(
    "cleanup",
    CleanupSettings,
    CommonSettings,
    agent="CLEANUP",
    changes={"http_address": {"default": ":8080"}},
    examples=(
        ("--node-name n1 --namespace gpunode --kubeconfig FILE --dry-run", "print what would be removed"),
        ("--node-name n1 --namespace gpunode --kubeconfig FILE", "remove it"),
        ("--node-name n1 --namespace gpunode --kubeconfig FILE --only cluster", "from another machine"),
    ),
    statuses={"1": "Something could not be removed. The command prints what and why."},
    help="Remove everything that gpunode wrote to this node: labels, annotations, taints, extended resources, the condition,"
    " NodeFeature objects, CDI specifications, MPS daemons and files.",
)


def main(arguments: Sequence[str]) -> int:
    try:
        values = parse_command(command, arguments, PROGRAM)
        if values is None:
            return 0
        common = common_settings(values, CommonSettings)
        _require(
            common.node_name,
            "--node-name: is missing. Set the name of this Node, or NODE_NAME (spec.nodeName in a pod)",
        )
        # a wrong namespace would hide the agents' pods and their objects, so there is no default outside a pod
        namespace = values["namespace"] or find_pod_namespace() or ""
        if values["only"] != "host":
            _require(namespace, "--namespace: is missing. Set the namespace of the agents, usually gpunode")
        _require(
            not (values["stay"] and values["dry_run"]), "--dry-run: cannot be used with --stay. Remove one of them"
        )
    except SettingsError as error:
        return report_usage(error, PROGRAM)
    targets = CleanupTargets(
        cdi=values["cdi_dir"],
        sockets=values["kubelet_socket"].parent,
        state=common.lock_dir,
        records=values["mig_state_dir"],
        namespace=namespace,
        mps=tuple(mps_tools(root, DriverPrograms()) for root in (values["mps_root"], dra_root(values["mps_root"]))),
        only=values["only"],
        is_dry_run=values["dry_run"],
    )
    api = (DryRunApi if values["dry_run"] else NodeApi)(
        common.node_name, kubeconfig=common.kubeconfig, user_agent=f"gpunode-cleanup/{VERSION}"
    )
    if not values["stay"]:
        return _clean_once(api, targets)
    program = Program(
        common=common,
        build=lambda services: ProcessSpec(agents=(cleanup_loop(lambda: clean(api, targets), services),)),
    )
    return run_program(lambda: program, PROGRAM)


def _require(value: object, problem: str) -> None:
    if not value:
        raise SettingsError([problem])


def _clean_once(api: NodeApi, targets: CleanupTargets) -> int:
    configure_log("auto", "error", sys.stderr)
    outcome = clean(api, targets)
    click.echo(render(outcome, is_dry_run=targets.is_dry_run), nl=False)
    for problem in outcome.problems:
        click.echo(problem, err=True)
    return INCOMPLETE if outcome.problems else 0


def render(outcome: Outcome, *, is_dry_run: bool = False) -> str:
    if not outcome.removed and not outcome.retained and not outcome.problems:
        return "nothing to remove\n"
    removed = "would remove" if is_dry_run else "removed"
    lines = [*(f"{removed}: {what}" for what in outcome.removed), *(f"stays: {what}" for what in outcome.retained)]
    return "".join(f"{line}\n" for line in lines)
