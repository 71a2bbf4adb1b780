"""The command line of `gpunode top`."""

import socket
import sys
from typing import Any

import click

from gpunode.cluster.connection import connection_options
from gpunode.output.formats import output_option
from gpunode.output.verb import Verb

EXAMPLES = (
    ("", "the GPUs of this node, until you press q"),
    ("--once", "print the current use, and exit"),
    ("--node gpu-1", "the GPUs of another node, from the metrics of gpu-exporter"),
    ("-l team=research -o json", "all selected nodes, for scripts"),
)


@click.command(
    "top",
    cls=Verb,
    examples=EXAMPLES,
    help="Show the use of GPUs and MIG devices, and the pods that have them. On a node with GPUs, the values are from NVML and the kubelet;"
    " run it in the pod of gpu-device-plugin, or as root on a host. With --node, -l or --all, and on a machine without GPUs, the values are"
    " from the metrics of gpu-exporter; you need the right to get pods/proxy. The key q ends the program.",
)
@click.option("--once", is_flag=True, help="Print the use once. This is the default in a pipe.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.5, max=3600),
    default=2.0,
    help="Seconds between two readings. Default: 2.",
)
@click.option("--node", metavar="NAME", help="Show this Node.")
@click.option("-l", "--selector", metavar="SELECTOR", default="", help="Show the Nodes with these labels.")
@click.option("--all", "is_all", is_flag=True, help="Show all Nodes.")
@connection_options
@click.option("--simulate", metavar="NAME|FILE", help="Show the GPUs of this scenario.")
@click.option("--host-root", metavar="FOLDER", help="The path at which the root directory of the host is mounted.")
@click.option("--lock-dir", metavar="FOLDER", help="The same --lock-dir that the agents use.")
@click.option(
    "--pod-resources-socket", metavar="FILE", help="The socket of the kubelet that lists the devices of pods."
)
@output_option("wide", "json", "yaml")
def command(output: str | None, once: bool, interval: float, **values: Any) -> None:
    from gpunode.top.run import follow, open_reader, print_once  # noqa: PLC0415 - completion does not need these modules

    reader = open_reader(values)
    if once or output is not None or not sys.stdout.isatty():
        print_once(reader, output)
        return
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        follow(reader, interval, near, far)
