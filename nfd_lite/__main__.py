"""`nfd-lite`: the command line."""

import node_core.startup

# isort: split
import sys

import click

from gpu_core.assembly import Dependencies, label_program
from nfd_lite.agent import build_agent
from nfd_lite.settings import NFD, OUTPUT_FILE, nfd_settings
from node_core.runtime.command import agent_command, parse_command
from node_core.runtime.log import configure_log
from node_core.runtime.process import Program, run_program
from node_core.runtime.setting import GroupedOption
from node_core.runtime.settings import CommonSettings, PublishSettings, common_settings

node_core.startup.freeze_gc()

PROGRAM = "nfd-lite"
EXPORT = (
    GroupedOption(
        ["--export"],
        heading="Destination of the labels",
        type=click.Choice(["features", "labels"]),
        default=None,
        help="Print the features or labels of this host. Publish nothing.",
    ),
    GroupedOption(
        ["--export-format"],
        heading="Destination of the labels",
        type=click.Choice(["json", "yaml"]),
        default="json",
        help="Output format of --export.",
    ),
)

command = agent_command(
    PROGRAM,
    *EXPORT,
    PublishSettings,
    *NFD,
    CommonSettings,
    agent="NFD",
    changes={"output_file": {"default": OUTPUT_FILE}, "http_address": {"default": ":8080"}},
    help="Labels this node with the features of its host: OS, kernel, CPU, memory, storage, network, PCI and USB.",
    examples=(
        ("--oneshot --publish stdout", "print the labels of this machine, without a cluster"),
        ("--node-name n1 --kubeconfig FILE", "label the Node n1, and follow changes"),
        ("rules test FILE", "show what rules do here, before you apply them"),
    ),
)


def parse(arguments: list[str]) -> Program | None:
    """Returns the program for a command line, the environment and the config file; None after --help or --export."""
    values = parse_command(command, arguments, PROGRAM)
    if values is None:
        return None
    settings = nfd_settings(values)
    dependencies = Dependencies(common_settings(values, CommonSettings), PROGRAM)
    if values["export"]:
        from nfd_lite.export import export  # noqa: PLC0415 - saves memory in the agent

        configure_log(dependencies.common.log_format, "warning")
        text = export(values["export"], values["export_format"], settings, dependencies)
        if text is None:
            sys.exit(1)
        sys.stdout.write(text)
        return None
    return label_program(dependencies, settings.publish, lambda services: build_agent(settings, dependencies, services))


def main() -> int:
    arguments = sys.argv[1:]
    if arguments[:1] == ["rules"]:
        from nfd_lite.rules_command import rules  # noqa: PLC0415 - saves memory in the agent

        rules(arguments[1:], prog_name=f"{PROGRAM} rules")
    return run_program(lambda: parse(arguments), PROGRAM)


if __name__ == "__main__":
    sys.exit(main())
