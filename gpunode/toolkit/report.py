"""Runs the verbs of `gpunode toolkit`, and prints their results."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from gpu_toolkit.__main__ import command as toolkit_command
from gpu_toolkit.agent import NAME
from gpu_toolkit.assess import assess
from gpu_toolkit.build import build_changer
from gpu_toolkit.discover import Choices, find_sockets, read_runtime
from gpu_toolkit.edits import wanted_names
from gpu_toolkit.host import Host
from gpu_toolkit.model import Assessment, Reason, Runtime
from gpu_toolkit.settings import ToolkitSettings, toolkit_settings
from gpunode.output.flags import render_flags
from gpunode.output.formats import print_document
from gpunode.output.paragraph import render_paragraph
from gpunode.output.table import Column, TableWriter
from gpunode.output.terminal import open_terminal, show_progress
from node_core.errors import RuntimeConfigError
from node_core.host.flock import is_locked
from node_core.runtime.command import parse_command
from node_core.runtime.instance_lock import DEFAULT_DIRECTORY

PROGRAM = "gpunode toolkit"
COLUMNS = (
    Column(header="RUNTIME"),
    Column(header="KUBELET"),
    Column(header="CDI"),
    Column(header="CONFIG", priority=1),
    Column(header="UNIT", priority=2),
    Column(header="SOCKET", priority=1),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """runtime: None if it does not answer; state then is the reason. is_used: whether the kubelet uses it; None if that is not known."""

    socket: str
    is_used: bool | None
    runtime: Runtime | None
    state: Assessment


def print_status(values: Mapping[str, Any], output: str | None) -> bool:
    """Returns whether pods get GPUs by CDI from the kubelet's runtime. Raises SettingsError and RuntimeConfigError."""
    settings, root = _settings(values)
    rows = list(_read_rows(settings, root))
    if not rows:
        raise RuntimeConfigError("no container runtime was found on this node", hint="set --runtime-socket")
    if output is None:
        _print_rows(rows)
    else:
        print_document({"runtimes": [_document(row) for row in rows]}, output)
    return any(row.state.is_fine for row in rows if row.is_used)


def print_change(values: Mapping[str, Any], mode: Literal["apply", "revert"]) -> bool:
    """Returns whether the change succeeded. Raises SettingsError and RuntimeConfigError."""
    settings, root = _settings(values)
    _refuse_agent(values["lock_dir"])
    changer = build_changer(settings, root)
    with show_progress("Asking the container runtime"):
        state = changer.apply(again=True) if mode == "apply" else changer.revert()
    _print_sentence(state.message, err=not state.is_fine)
    return state.is_fine


def _settings(values: Mapping[str, Any]) -> tuple[ToolkitSettings, Path]:
    parsed = parse_command(toolkit_command, render_flags(values, values), PROGRAM) or {}
    return toolkit_settings(parsed), parsed["host_root"]


def _refuse_agent(folder: str | None) -> None:
    """Raises RuntimeConfigError if gpu-toolkit runs on this node: it would undo the change, or make it again."""
    locks = Path(folder or DEFAULT_DIRECTORY)
    if any(is_locked(path) for path in locks.glob(f"{NAME}*.lock")):
        raise RuntimeConfigError(
            f"{NAME} runs on this node, and decides about the runtime",
            hint="set its --toolkit-mode (chart: toolkit.mode)",
        )


def _read_rows(settings: ToolkitSettings, root: Path) -> Iterator[Row]:
    host, choices = Host(root), Choices(socket=settings.socket, config=settings.config)
    sockets, used = find_sockets(host, choices)
    for socket in sockets:
        is_used = None if used is None else socket == used
        try:
            runtime = read_runtime(host, socket, choices)
        except RuntimeConfigError as error:
            state = Assessment(reason=Reason.UNKNOWN, message=f"{error}.")
            yield Row(socket=socket, is_used=is_used, runtime=None, state=state)
        else:
            yield Row(socket=socket, is_used=is_used, runtime=runtime, state=assess(runtime, settings.cdi_folder))


def _print_rows(rows: list[Row]) -> None:
    TableWriter(open_terminal(), COLUMNS).write([_cells(row) for row in rows])
    click.echo()
    for row in rows:
        if row.is_used is not False:
            _print_sentence(row.state.message)


def _cells(row: Row) -> tuple[str, ...]:
    runtime, used = row.runtime, {True: "yes", False: "no", None: "unknown"}[row.is_used]
    if runtime is None:
        return "-", used, str(row.state.reason), "", "", row.socket
    unit = "" if runtime.process is None else runtime.process.unit or ""
    return runtime.title, used, str(row.state.reason), runtime.config, unit, row.socket


def _document(row: Row) -> dict[str, Any]:
    runtime = row.runtime
    return {
        "socket": row.socket,
        "isUsedByKubelet": row.is_used,
        "name": runtime and runtime.name,
        "version": runtime and runtime.version,
        "config": runtime and runtime.config,
        "unit": runtime and runtime.process and runtime.process.unit,
        "reason": str(row.state.reason),
        "message": row.state.message,
        "missing": list(wanted_names(row.state.wanted or {})),
    }


def _print_sentence(text: str, *, err: bool = False) -> None:
    terminal = open_terminal()
    click.echo("\n".join(render_paragraph(terminal, text)), err=err, color=terminal.has_colors)
