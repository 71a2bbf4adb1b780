"""`gpunode cdi generate`: discovers the GPUs and the driver of this node once, and renders CDI specifications."""

import json
import sys
from collections.abc import Iterator, Sequence

import click

from device_plugin.cdi_sync import CdiSpecSync
from device_plugin.settings import PLUGIN, plugin_settings
from gpu_core.assembly import gpu_dependencies
from gpu_core.cdi.plan import CdiPlan
from gpu_core.cdi.write import CDI_FOLDER, SpecWriter
from gpu_core.domain.cdi import render_spec
from gpu_core.settings.nvidia_config import nvidia_config_option
from gpu_core.settings.nvidia_settings import GpuSettings
from node_core.errors import NodeError, SettingsError
from node_core.runtime.command import agent_command, parse_command, report_usage
from node_core.runtime.log import configure_log

PROGRAM = "gpunode cdi generate"

command = agent_command(
    "generate",
    *PLUGIN,
    nvidia_config_option("plugin"),
    GpuSettings,
    agent="DEVICE_PLUGIN",
    examples=(
        ("", "print the specifications for the GPUs of this machine"),
        ("--cdi-dir /etc/cdi", "write them where container runtimes read them"),
        ("--simulate h100x8 --mig-strategy mixed", "print those of simulated GPUs"),
    ),
    statuses={"1": "The GPUs cannot be read, there is no specification, or a file cannot be written."},
    help="Print the CDI specifications that gpu-device-plugin would write with the same flags. With --cdi-dir, write them to that folder, "
    "which is created if it does not exist. Without a Node, the container runtime is "
    "unknown, and the specifications omit the groups of device nodes.",
)


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status: 1 if the GPUs cannot be read, there is no specification, or a file cannot be written."""
    try:
        values = parse_command(command, arguments, PROGRAM)
        if values is None:
            return 0
        settings = plugin_settings(values)
        dependencies = gpu_dependencies(values, PROGRAM)
    except SettingsError as error:
        return report_usage(error, PROGRAM)
    configure_log("auto", "error", sys.stderr)
    writer = SpecWriter(settings.cdi_folder)
    try:
        inventory = dependencies.inventory.discover()
        plan = CdiSpecSync(dependencies.root, writer).plan(inventory, settings.responses)
    except NodeError as error:
        click.echo(f"{PROGRAM}: {error}", err=True)
        return 1
    is_written = "cdi_dir" in values["given"] or settings.cdi_folder != CDI_FOLDER
    problems = tuple(_output(plan, writer if is_written else None, inventory.why_empty))
    for note in (*plan.notes, *problems):
        click.echo(f"{PROGRAM}: {note}", err=True)
    return 1 if problems else 0


def _output(plan: CdiPlan, writer: SpecWriter | None, why_empty: str | None) -> Iterator[str]:
    """Writes or prints the specifications. Yields a sentence for each problem. why_empty: why the node has no GPUs."""
    if not plan.specs:
        yield f"No CDI specification was generated{f': {why_empty}' if why_empty else ''}."
    elif writer is not None:
        yield from writer.write(plan)
    else:
        for _, spec in sorted(plan.specs.items()):
            sys.stdout.write(json.dumps(render_spec(spec), indent=2) + "\n")
