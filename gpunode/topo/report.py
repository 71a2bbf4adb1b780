"""Prints the links of this node, or the devices that a container would get."""

from collections.abc import Mapping
from typing import Any

import click

from gpunode.output.flags import render_flags
from gpunode.output.formats import print_document
from gpunode.output.terminal import open_terminal
from gpunode.topo.allocation import Allocation, select_allocation
from gpunode.topo.document import describe_document
from gpunode.topo.links import Topology, describe_topology
from gpunode.topo.matrix import render_matrix
from gpunode.topo.node import NodeReading, describe_unknown_use, read_devices_in_use, read_node
from gpunode.topo.render_allocation import render_allocation
from gpunode.topo.svg import render_svg
from node_core.errors import KubeletError

PLUGIN_FLAGS = ("simulate", "host_root", "mig_strategy", "config_file", "kubelet_socket", "lock_dir")
"""The flags that are passed on to the settings of gpu-device-plugin."""


def print_report(values: Mapping[str, Any], output: str | None) -> None:
    """values: of the command line. Raises SettingsError and NodeError."""
    if values["request"] is None and (values["resource"] or values["available"]):
        raise click.UsageError("--resource and --available need --request N.")
    node = read_node(render_flags(values, PLUGIN_FLAGS))
    topology = describe_topology(node.inventory, node.cpus)
    allocation = None if values["request"] is None else _allocate(node, values)
    if output == "svg":
        click.echo(render_svg(topology, allocation), nl=False)
    elif output is not None:
        print_document(describe_document(topology, allocation), output)
    else:
        _print_text(topology, allocation)


def _print_text(topology: Topology, allocation: Allocation | None) -> None:
    terminal = open_terminal()
    lines = (
        render_matrix(topology, terminal) if allocation is None else render_allocation(allocation, topology, terminal)
    )
    click.echo("\n".join(lines), color=terminal.has_colors)


def _allocate(node: NodeReading, values: Mapping[str, Any]) -> Allocation:
    """Raises SettingsError and NodeError."""
    if node.config_note is not None:
        click.echo(node.config_note, err=True)
    in_use = _read_devices_in_use(node) if values["available"] is None else {}
    return select_allocation(node.plan, values["request"], values["resource"], values["available"], in_use)


def _read_devices_in_use(node: NodeReading) -> Mapping[str, str]:
    try:
        return read_devices_in_use(node)
    except KubeletError as error:
        click.echo(describe_unknown_use(error), err=True)
        return {}
