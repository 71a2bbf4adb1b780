"""`gpunode cdi`: the CDI specifications of a node for people: what would be written, what there is, whether it is sound."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from node_core.decode import read_yaml
from node_core.domain.cdi_schema import problems_of
from node_core.errors import SettingsError

FOLDERS = (Path("/etc/cdi"), Path("/var/run/cdi"))
"""Where container runtimes look, the later one first in precedence."""


@click.group()
def cdi() -> None:
    """CDI specifications of this node."""


@cdi.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def generate(arguments: tuple[str, ...]) -> None:
    """Print the specifications that gpu-device-plugin would write, by its own flags; with --cdi-dir, write them there."""
    from gpunode.cdi_generate import main  # noqa: PLC0415 - the plugin's imports are for this alone

    sys.exit(main(arguments))


@cdi.command("list")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
def list_devices(folders: tuple[Path, ...]) -> None:
    """Every device that can be asked for, by its full name. FOLDERS: /etc/cdi and /var/run/cdi if none is named."""
    failed = False
    for path in _files(folders or FOLDERS):
        try:
            for name in sorted(device_names(_read(path))):
                click.echo(name)
        except SettingsError as error:
            failed = True
            click.echo(str(error), err=True)
    sys.exit(1 if failed else 0)


@cdi.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def validate(files: tuple[Path, ...]) -> None:
    """Check specifications as container runtimes do. Exit status 1 if one of them is wrong."""
    problems = [problem for path in files for problem in _problems(path)]
    for problem in problems:
        click.echo(problem, err=True)
    sys.exit(1 if problems else 0)


def device_names(spec: Any) -> tuple[str, ...]:
    """The full names of a sound specification's devices."""
    return tuple(f"{spec['kind']}={device['name']}" for device in spec["devices"])


def _files(folders: tuple[Path, ...]) -> Iterator[Path]:
    for folder in folders:
        if folder.is_dir():
            yield from sorted(path for path in folder.iterdir() if path.suffix in (".json", ".yaml"))


def _problems(path: Path) -> tuple[str, ...]:
    try:
        _read(path)
    except SettingsError as error:
        return error.problems
    return ()


def _read(path: Path) -> Any:
    """Raises SettingsError with every problem."""
    spec = read_yaml(path)
    if problems := problems_of(spec):
        raise SettingsError([f"{path}: {problem}" for problem in problems])
    return spec


def render(specs: dict[str, Any]) -> str:
    """One JSON document for each specification."""
    return "".join(json.dumps(spec, indent=2) + "\n" for _, spec in sorted(specs.items()))
