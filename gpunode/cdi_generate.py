"""`gpunode cdi generate`: one look at this node's GPUs and driver, as specifications."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from device_plugin.cdi.write import CDI_FOLDER, SpecWriter
from device_plugin.options import plugin_options, plugin_settings
from device_plugin.specs import SpecKeeper
from gpunode.cdi import render
from node_core.assembly import Edges
from node_core.domain.cdi import render_spec
from node_core.errors import NodeError, SettingsError
from node_core.runtime.command import AgentCommand, parse_command, report_usage
from node_core.runtime.flags import common_options
from node_core.runtime.nvidia_config import nvidia_options
from node_core.runtime.settings import common_settings

PROGRAM = "gpunode cdi generate"


@click.command(cls=AgentCommand, name="generate")
@plugin_options
@nvidia_options("plugin")
@common_options(agent="DEVICE_PLUGIN", address="")
def command(**_: Any) -> None:
    """Prints the CDI specifications that gpu-device-plugin would write; with --cdi-dir, writes them there."""


def main(arguments: Sequence[str]) -> int:
    """Exit status 1 where the GPUs cannot be looked at or a file cannot be written."""
    try:
        values = parse_command(command, arguments, PROGRAM)
        if values is None:
            return 0
        settings = plugin_settings(values)
        edges = Edges(common_settings(values), PROGRAM, values["driver_root"], values["device_discovery_strategy"])
    except SettingsError as error:
        return report_usage(error, PROGRAM)
    writer = SpecWriter(settings.cdi_folder)
    try:
        plan = SpecKeeper(edges.root, writer).plan(edges.inventory.look(), settings.responses)
    except NodeError as error:
        click.echo(f"{PROGRAM}: {error}", err=True)
        return 1
    problems = writer.write(plan) if settings.cdi_folder != CDI_FOLDER else ()
    if settings.cdi_folder == Path(CDI_FOLDER):
        sys.stdout.write(render({name: render_spec(spec) for name, spec in plan.specs.items()}))
    for note in (*plan.notes, *problems):
        click.echo(f"{PROGRAM}: {note}", err=True)
    return 1 if problems else 0
