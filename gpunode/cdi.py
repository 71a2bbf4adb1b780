"""`gpunode cdi`: generates, lists and validates the CDI specifications of a node."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from gpu_core.domain.cdi_schema import advice_of, problems_of
from gpunode.lazy_group import Entry, ForwardingCommand
from node_core.decode import parse_first_document, read_document
from node_core.errors import SettingsError
from node_core.runtime.examples import ExamplesCommand, ExamplesGroup

SUFFIXES = (".json", ".yaml")
IGNORED = f"container runtimes ignore this file, because its name does not end in {' or '.join(SUFFIXES)}"
FIRST_ONLY = "container runtimes read only the first document of a file, and ignore the others. Write one file for each specification"
FOLDERS = (Path("/etc/cdi"), Path("/var/run/cdi"))
"""The folders that container runtimes read. Devices in the second folder take precedence."""


_EXAMPLE = {"name": "a", "containerEdits": {"env": ["A=b"]}}
"""A device that is valid in every version."""


@click.group(
    cls=ExamplesGroup,
    examples=(
        ("generate", "print the specifications for the GPUs of this machine"),
        ("list", "the names of all devices that container runtimes know"),
        ("validate /etc/cdi/*", "check specifications by the rules of container runtimes"),
    ),
)
def cdi() -> None:
    """Generate, list and validate the CDI specifications of this node."""


cdi.add_command(
    ForwardingCommand(
        "generate",
        Entry(
            module="gpunode.cdi_generate",
            help="Print the specifications that gpu-device-plugin would write with the same flags. With --cdi-dir, write them to that"
            " folder.",
            is_agent=True,
        ),
    )
)


@cdi.command(
    "list",
    cls=ExamplesCommand,
    examples=(
        ("", "the devices that container runtimes know"),
        ("/etc/cdi", "the devices of one folder"),
    ),
    statuses={"1": "A folder cannot be read, or container runtimes ignore a file."},
)
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
def list_devices(folders: tuple[Path, ...]) -> None:
    """List the full names of all CDI devices in FOLDERS (default: /etc/cdi and /var/run/cdi).

    Report files that are not valid, or whose name container runtimes ignore (.yml).
    """
    names: list[str] = []
    problems: list[str] = []
    files = [path for folder in folders or FOLDERS for path in _files(folder, problems, is_default=not folders)]
    for file in map(read_spec_file, files):
        names += file.devices
        problems += file.problems
        if file.problems and file.devices:
            problems.append(f"{file.path}: container runtimes use no device of this file until the file is valid")
    for name in dict.fromkeys(names):
        click.echo(name)
    _exit_with(problems)


@cdi.command(
    cls=ExamplesCommand,
    examples=(
        ("/etc/cdi/nvidia.json", "check one file"),
        ("/etc/cdi/* /var/run/cdi/*", "check all files that container runtimes read"),
    ),
    statuses={"1": "A file is not valid."},
)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def validate(files: tuple[Path, ...]) -> None:
    """Check FILES by the rules of container runtimes.

    Also print advice about parts that runtimes accept and that do not work everywhere.
    """
    read = [read_spec_file(path) for path in files]
    for advice in (sentence for file in read for sentence in file.advice):
        click.echo(advice, err=True)
    _exit_with([problem for file in read for problem in file.problems])


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecFile:
    """devices: the full names of the valid devices, sorted. problems, advice: a sentence for each, with the path of the file."""

    path: Path
    devices: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()


def read_spec_file(path: Path) -> SpecFile:
    """Reads a specification and checks it by the rules of container runtimes. Errors are problems of the result."""
    try:
        spec, has_more = parse_first_document(read_document(path))
    except SettingsError as error:
        return SpecFile(path=path, problems=tuple(error.problems))
    problems = tuple(f"{path}: {problem}" for problem in problems_of(spec))
    sentences = [] if problems else [*advice_of(spec), *([] if path.suffix in SUFFIXES else [IGNORED])]
    sentences += [FIRST_ONLY] if has_more else []
    advice = tuple(f"{path}: advice: {sentence}" for sentence in sentences)
    return SpecFile(path=path, devices=tuple(sorted(device_names(spec))), problems=problems, advice=advice)


def device_names(spec: Any) -> Iterator[str]:
    """Yields the full names of the devices that are valid, also if other devices of the specification are not."""
    devices = spec.get("devices") if isinstance(spec, dict) else None
    if not isinstance(devices, list) or problems_of({**spec, "devices": [_EXAMPLE]}):
        return
    rest = {name: value for name, value in spec.items() if name != "containerEdits"}
    yield from (f"{spec['kind']}={each['name']}" for each in devices if not problems_of({**rest, "devices": [each]}))


def _files(folder: Path, problems: list[str], *, is_default: bool) -> list[Path]:
    """The files of a folder that runtimes read. A default folder may be missing."""
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        if not (is_default and isinstance(error, FileNotFoundError)):
            problems.append(f"{folder}: {error.strerror}. Name a folder with CDI specifications.")
        return []
    problems += [f"{path}: {IGNORED}" for path in found if path.suffix == ".yml"]
    return [path for path in found if path.suffix in SUFFIXES]


def _exit_with(problems: list[str]) -> None:
    for problem in problems:
        click.echo(problem, err=True)
    sys.exit(1 if problems else 0)
