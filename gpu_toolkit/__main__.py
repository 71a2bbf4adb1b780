"""`gpu-toolkit`: the command line."""

import node_core.startup

# isort: split
import sys

from gpu_toolkit.agent import NAME, OPERATIONS, build_agent
from gpu_toolkit.build import build_changer
from gpu_toolkit.settings import TOOLKIT, ToolkitSettings, toolkit_settings
from node_core.errors import SettingsError
from node_core.kube.client import NodeApi
from node_core.kube.events import EventApi
from node_core.runtime.command import agent_command, parse_command
from node_core.runtime.event_recorder import EventRecorder
from node_core.runtime.instance_lock import InstanceLock
from node_core.runtime.messages import Resync
from node_core.runtime.process import ProcessSpec, Program, run_program
from node_core.runtime.schedule import PeriodicTrigger
from node_core.runtime.services import Services
from node_core.runtime.settings import CommonSettings, common_settings
from node_core.version import VERSION

node_core.startup.freeze_gc()

command = agent_command(
    NAME,
    *TOOLKIT,
    CommonSettings,
    agent="TOOLKIT",
    changes={"http_address": {"default": ":8085"}},
    help="Let the container runtime of this node inject CDI devices. If it does so already, which is the normal case, change nothing.",
    examples=(
        ("--node-name n1 --kubeconfig FILE --toolkit-mode report", "only show whether CDI is on"),
        ("--node-name n1 --kubeconfig FILE", "switch CDI on if it is off"),
    ),
)


def parse(arguments: list[str]) -> Program | None:
    """Returns the program for a command line and the environment; None after --help. Raises SettingsError."""
    values = parse_command(command, arguments, NAME)
    if values is None:
        return None
    settings, common = toolkit_settings(values), common_settings(values, CommonSettings)
    if not common.node_name:
        raise SettingsError(
            ["--node-name: is missing. Set the name of this Node, or NODE_NAME (spec.nodeName in a pod)."]
        )
    return Program(common=common, build=lambda services: _build(settings, common, services))


def _build(settings: ToolkitSettings, common: CommonSettings, services: Services) -> ProcessSpec:
    api = NodeApi(common.node_name, kubeconfig=common.kubeconfig, user_agent=f"{NAME}/{VERSION}")
    events = EventRecorder(lambda: EventApi(api), services)
    changer = build_changer(settings, common.host_root, beat=lambda: services.readiness.beat(NAME))
    lock = None if common.lock_dir is None else InstanceLock(common.lock_dir, NAME, common.node_name)
    agent = build_agent(lambda: OPERATIONS[settings.mode](changer), services, events, common.node_name, lock)
    periodic = PeriodicTrigger(common.interval, lambda: agent.mailbox.post(Resync()))
    return ProcessSpec(agents=(agent,), background_services=(events, periodic))


def main() -> int:
    return run_program(lambda: parse(sys.argv[1:]), NAME)


if __name__ == "__main__":
    sys.exit(main())
