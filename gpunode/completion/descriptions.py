"""All commands as data, for completion: importing the modules of the commands takes half a second, reading this file a millisecond.

`make docs` writes commands.json from the declarations of the commands. A test compares.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import click

from gpunode.completion.values import COMPLETERS, PATH, name_of_values
from gpunode.lazy_group import ForwardingCommand

FILE = Path(__file__).with_name("commands.json")
HELP = {"help_option_names": ["-h", "--help"]}


@cache
def read_descriptions() -> dict[str, Any]:
    """Returns name -> command, as `describe` returns it."""
    found: dict[str, Any] = json.loads(FILE.read_bytes())["commands"]
    return found


def describe(command: click.Command) -> dict[str, Any]:
    """Returns the parameters, the help and the commands of a command."""
    if isinstance(command, ForwardingCommand):
        return describe(command.entry.load()) | {"help": command.help}
    context = click.Context(command, info_name=command.name, help_option_names=HELP["help_option_names"])
    shown = [each for each in command.params if not getattr(each, "hidden", False)]
    found: dict[str, Any] = {
        "help": command.get_short_help_str(200),
        "params": [_describe_parameter(each, context) for each in shown],
    }
    if isinstance(command, click.Group):
        named = ((name, command.get_command(context, name)) for name in command.list_commands(context))
        found["commands"] = {name: describe(each) for name, each in named if each is not None}
    return found


def build_command(name: str, description: dict[str, Any]) -> click.Command:
    """Returns a command that only completes. description: see `describe`."""
    params = [_build_parameter(each) for each in description["params"]]
    options: dict[str, Any] = {"params": params, "context_settings": HELP, "help": description["help"]}
    if (commands := description.get("commands")) is None:
        return click.Command(name, **options)
    return click.Group(name, commands={each: build_command(each, below) for each, below in commands.items()}, **options)


def _describe_parameter(parameter: click.Parameter, context: click.Context) -> dict[str, Any]:
    """complete: the values, or a name of COMPLETERS, or PATH."""
    found: dict[str, Any] = {"names": [*parameter.opts, *parameter.secondary_opts]}
    if isinstance(parameter, click.Argument):
        found["nargs"] = parameter.nargs
    elif isinstance(parameter, click.Option):
        found["help"] = (parameter.help or "").partition(". ")[0].removesuffix(".")
        if parameter.is_flag or isinstance(parameter.flag_value, str):
            return {**found, "flag": True}
    if isinstance(parameter.type, click.Choice):
        found["complete"] = [str(each) for each in parameter.type.choices]
    elif (kind := name_of_values(str(context.command.name), parameter)) is not None:
        found["complete"] = kind
    return found


def _build_parameter(described: dict[str, Any]) -> click.Parameter:
    complete, names = described.get("complete"), described["names"]
    kind: Any = click.Choice(complete) if isinstance(complete, list) else click.Path() if complete == PATH else str
    values = COMPLETERS.get(complete) if isinstance(complete, str) else None
    if "nargs" in described:
        return click.Argument(names, nargs=described["nargs"], type=kind, required=False, shell_complete=values)
    if "flag" in described:
        return click.Option(names, is_flag=True, help=described["help"])
    return click.Option(names, type=kind, help=described["help"], shell_complete=values)
