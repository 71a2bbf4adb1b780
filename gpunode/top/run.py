"""Selects where the use is read, and prints it."""

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from gpunode.cluster.connection import connect
from gpunode.output.formats import print_document
from gpunode.output.terminal import open_terminal, show_progress
from gpunode.top.local import open_local
from gpunode.top.loop import Reader, UseLoop
from gpunode.top.remote import RemoteReader
from gpunode.top.render import render_summary, render_uses
from gpunode.top.screen import Screen, wake_on_resize
from node_core.host.root import HostRoot

DRIVER = "/proc/driver/nvidia"


def open_reader(values: Mapping[str, Any], flags: Sequence[str]) -> Reader:
    """Returns the reader of this node, or of other nodes. flags: of gpu-device-plugin. Raises SettingsError, KubeError."""
    is_remote = bool(values["node"] or values["selector"] or values["is_all"])
    if is_remote and flags:
        raise click.UsageError(f"{flags[0].partition('=')[0]} is for this node. Remove it, or --node, -l and --all.")
    if values["simulate"] or (not is_remote and HostRoot(Path(values["host_root"] or "/")).path(DRIVER).is_dir()):
        return open_local(flags, values["pod_resources_socket"])
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
    lines = [*render_uses(uses, terminal, is_wide=output == "wide"), render_summary(uses), *reader.notes]
    click.echo("\n".join(lines), color=terminal.has_colors)


def follow(reader: Reader, interval: float, near: socket.socket, far: socket.socket) -> None:
    """Draws until the person presses q. near, far: a pair of sockets; the threads and signals send to `near`."""
    loop = UseLoop(reader, interval, near)
    loop.start()
    try:
        with wake_on_resize(near):
            Screen(lambda: loop.render(open_terminal())).run(interval, far)
    finally:
        loop.stop()
