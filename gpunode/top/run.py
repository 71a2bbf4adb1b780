"""Selects where the use is read, and prints it."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from gpunode.cluster.connection import connect
from gpunode.output.flags import render_flags
from gpunode.output.formats import print_document
from gpunode.output.screen import Screen, wake_on_resize
from gpunode.output.terminal import open_terminal, show_progress
from gpunode.top.local import open_local
from gpunode.top.loop import Reader, UseLoop
from gpunode.top.remote import RemoteReader
from gpunode.top.render import render_summary, render_uses, wrap_lines

HINT = "use --once"
DRIVER = "/proc/driver/nvidia"
PLUGIN_FLAGS = ("simulate", "host_root", "lock_dir")
"""The flags that are passed on to the settings of gpu-device-plugin."""
REMOTE = {"--node": "node", "-l": "selector", "--all": "is_all"}
"""The flags that select other nodes."""


def open_reader(values: Mapping[str, Any]) -> Reader:
    """Returns the reader of this node, or of other nodes. values: of the command line. Raises UsageError, SettingsError and KubeError."""
    remote = [flag for flag, name in REMOTE.items() if values[name]]
    if len(remote) > 1:
        raise click.UsageError(f"{remote[0]} and {remote[1]} cannot be used together.")
    local = render_flags(values, (*PLUGIN_FLAGS, "pod_resources_socket"))
    if remote and local:
        raise click.UsageError(f"{local[0].partition('=')[0]} is for this node. Remove {remote[0]}, or this flag.")
    if local or (not remote and Path(DRIVER).is_dir()):
        return open_local(render_flags(values, PLUGIN_FLAGS), values["pod_resources_socket"])
    connection = connect(values["kubeconfig"], values["context"])
    return RemoteReader(connection.api, values["node"], values["selector"])


def print_once(reader: Reader, output: str | None) -> None:
    """Raises NodeError."""
    with show_progress("Reading the GPUs"):
        uses = reader.read()
    if output in ("json", "yaml"):
        print_document({"devices": msgspec.to_builtins(uses), "notes": list(reader.notes)}, output)
        return
    terminal = open_terminal()
    texts = (render_summary(uses), *reader.notes)
    lines = [*render_uses(uses, terminal, is_wide=output == "wide"), *wrap_lines(terminal, texts)]
    click.echo("\n".join(lines), color=terminal.has_colors)


def follow(reader: Reader, interval: float, near: socket.socket, far: socket.socket) -> None:
    """Draws until the person presses q. near, far: a pair of sockets; the threads and signals send to `near`."""
    loop = UseLoop(reader, interval, near)
    loop.start()
    try:
        with wake_on_resize(near):
            Screen(lambda: loop.render(open_terminal()), HINT).run(interval, far)
    finally:
        loop.stop()
