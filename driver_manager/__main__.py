"""`gpu-driver-manager`: the command line."""

import node_core.startup

# isort: split
import signal
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

import structlog

from driver_manager.build import build_uninstaller
from driver_manager.plan import Action
from driver_manager.settings import DRIVER, NAME, driver_settings
from driver_manager.uninstaller import STOP_SIGNALS, DriverUninstaller
from node_core.domain.labels import GPU_DEPLOY_DRIVER, PRE_INSTALLED
from node_core.errors import NodeError, SettingsError
from node_core.host.root import HostRoot
from node_core.kube.client import NodeApi
from node_core.runtime.command import agent_command, parse_command, report_usage
from node_core.runtime.instance_lock import DEFAULT_DIRECTORY
from node_core.runtime.log import configure_log, flush_log
from node_core.runtime.log_sink import guard_standard_error
from node_core.version import VERSION

node_core.startup.freeze_gc()

log = structlog.get_logger(__name__)

UNINSTALL, PREFLIGHT = "uninstall_driver", "preflight_check"
FAILED, HOST_DRIVER = 1, 3
LABEL_HINT = f"nfd-lite with --driver-label, or a person, labels such a Node {GPU_DEPLOY_DRIVER}={PRE_INSTALLED}"

command = agent_command(
    NAME,
    *DRIVER,
    agent="DRIVER_MANAGER",
    help="The init container of a driver pod. uninstall_driver: prepare the node for the driver container. It unloads another driver, after"
    " the pods that use it have left, and leaves the wanted driver loaded. preflight_check: print what uninstall_driver would do.",
    examples=(
        (UNINSTALL, "in the init container of a driver pod"),
        (f"{PREFLIGHT} --host-root /", "on a node, before the driver is changed"),
    ),
    statuses={
        "1": "The driver cannot be removed, or the Node cannot be restored. The log states why. The kubelet starts the next attempt.",
        "3": "The host has a driver of its own. The driver container must not start.",
    },
)
command.options_metavar = f"{UNINSTALL}|{PREFLIGHT} [OPTIONS]"


def main() -> int:
    guard_standard_error()
    return run(sys.argv[1:])


def run(arguments: list[str]) -> int:
    """Returns the exit status."""
    action = next((each for each in arguments if each in (UNINSTALL, PREFLIGHT)), None)
    try:
        values = parse_command(command, [each for each in arguments if each != action], NAME)
        if values is None:
            return 0
        _check(values, action)
    except SettingsError as error:
        return report_usage(error, NAME)
    for number in STOP_SIGNALS:
        signal.signal(number, _exit)
    configure_log(values["log_format"], values["log_level"], fields={"agent": NAME, "node": values["node_name"]})
    log.info("starting", version=VERSION, settings=dict(values["changed"]))
    try:
        return prepare(build(values), is_preflight=action == PREFLIGHT)
    finally:
        flush_log()


def _check(values: Mapping[str, Any], action: str | None) -> None:
    """Raises SettingsError."""
    problems: list[str] = []
    if action is None:
        problems.append(f"the command is missing. Use {UNINSTALL} or {PREFLIGHT}.")
    if not values["node_name"]:
        problems.append("--node-name: is missing. Set it, or NODE_NAME, to the name of this Node.")
    if problems:
        raise SettingsError(problems)


def prepare(uninstaller: DriverUninstaller, *, is_preflight: bool) -> int:
    """Returns the exit status."""
    try:
        action = _preflight(uninstaller) if is_preflight else uninstaller.run()
    except NodeError as error:
        log.error("driver_not_prepared", why=str(error), effect="the driver container does not start")
        return FAILED
    if action is Action.STOP:
        log.error("driver_pre_installed", effect="the driver container does not start", hint=LABEL_HINT)
        return HOST_DRIVER
    return 0


def build(values: Mapping[str, Any]) -> DriverUninstaller:
    return build_uninstaller(
        driver_settings(values),
        NodeApi(values["node_name"], kubeconfig=values["kubeconfig"], user_agent=f"{NAME}/{VERSION}"),
        HostRoot(values["host_root"]),
        values["lock_dir"] or DEFAULT_DIRECTORY,
    )


def _preflight(uninstaller: DriverUninstaller) -> Action:
    plan, facts = uninstaller.plan()
    modules = {each.name: each.references for each in facts.modules}
    users = uninstaller.unloader.list_users() if plan.action is Action.REPLACE else ()
    log.info("driver_planned", action=str(plan.action), why=plan.why, modules=modules, users=users)
    return plan.action


def _exit(number: int, _frame: object) -> NoReturn:
    """Ends the present step. The Node is restored."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
