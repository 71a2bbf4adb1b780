"""`gpunode doctor`: why this node has the GPUs that it has, and what to do. It takes what gpu-device-plugin takes, and changes nothing."""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from device_plugin.agent import NAME
from device_plugin.health.examine import Examination, examine
from device_plugin.health.mark import Verdict
from device_plugin.options import plugin_options, plugin_settings
from node_core.assembly import Edges
from node_core.domain.text import plain
from node_core.errors import SettingsError
from node_core.runtime.command import AgentCommand, parse_command, report_usage
from node_core.runtime.flags import common_options
from node_core.runtime.log import configure_log
from node_core.runtime.nvidia_config import nvidia_options
from node_core.runtime.services import Services
from node_core.runtime.settings import common_settings

PROG = "gpunode doctor"
SICK = 1
"""Exit status when there is something for a person to do."""


@click.command(cls=AgentCommand, name="doctor")
@plugin_options
@nvidia_options("plugin")
@common_options(agent="DEVICE_PLUGIN", address="")
@click.option("-o", "--output", type=click.Choice(("text", "json")), default="text", help="How to say it.")
def command(**_: Any) -> None:
    """Says why this node has the GPUs that it has, and what to do. Exit status 1 if there is something to do."""


def main(arguments: Sequence[str]) -> int:
    try:
        values = parse_command(command, arguments, PROG)
        if values is None:
            return 0
        settings = plugin_settings(values)
        edges = Edges(common_settings(values), PROG, values["driver_root"])
    except SettingsError as error:
        return report_usage(error, PROG)
    configure_log("auto", "error", sys.stderr)
    found = examine(NAME, settings, edges, Services())
    click.echo(render_json(found) if values["output"] == "json" else render_text(found), nl=False)
    return 0 if found.is_well else SICK


def render_text(found: Examination) -> str:
    return "".join(f"{plain(line)}\n" for line in _lines(found))


def render_json(found: Examination) -> str:
    judgement = found.judgement
    content = {
        "ready": judgement.is_ready,
        "reason": judgement.reason,
        "sentence": judgement.sentence,
        "todo": judgement.todo,
        "driver": {"module": found.versions.module, "library": found.versions.library},
        "gpus": [_rendered(verdict) for verdict in found.verdicts],
        "notes": list(found.notes),
    }
    return json.dumps(content, indent=2) + "\n"


def _lines(found: Examination) -> Iterator[str]:
    judgement = found.judgement
    yield f"{judgement.reason}: {judgement.sentence}"
    yield from _todo(judgement.todo)
    for verdict in found.verdicts:
        yield f"{verdict.name}: {verdict.phase}: {verdict.why}"
        yield from _todo(verdict.todo)
    yield from (f"note: {note}" for note in found.notes)


def _todo(todo: str | None) -> Iterator[str]:
    if todo is not None:
        yield f"  to do: {todo}"


def _rendered(verdict: Verdict) -> dict[str, Any]:
    return {
        "gpu": verdict.gpu,
        "gpuInstance": verdict.gpu_instance,
        "phase": verdict.phase,
        "why": verdict.why,
        "todo": verdict.todo,
    }
