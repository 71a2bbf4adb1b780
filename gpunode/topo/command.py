"""The command line of `gpunode topo`."""

from typing import Any

import click

from gpunode.output.formats import output_option
from gpunode.output.verb import Verb

EXAMPLES = (
    ("", "the links between the GPUs of this node"),
    ("--request 4", "the GPUs that a container with 4 GPUs would get now, and why"),
    ("--request 2 --available 1,3,5", "the same if only these GPUs are free"),
    ("--simulate h100x8 -o svg > topo.svg", "a picture of a simulated node"),
)


@click.command(
    "topo",
    cls=Verb,
    examples=EXAMPLES,
    help="Show the NVLinks and PCIe paths between the GPUs of this node, and their NUMA nodes. The terms are those of `nvidia-smi topo -m`."
    " With --request, show which GPUs a container would get, and why. Run it in the pod of gpu-device-plugin, or as root on a host.",
)
@click.option("--request", type=click.IntRange(min=1), metavar="N", help="Show which N devices a container would get.")
@click.option("--resource", metavar="NAME", help="The resource of --request. Default: nvidia.com/gpu, or the only one.")
@click.option(
    "--available",
    metavar="IDS",
    help="The devices that --request can select from: indexes, UUIDs or PCI addresses, separated by commas. Default: all healthy devices"
    " that no pod has.",
)
@click.option("--simulate", metavar="NAME|FILE", help="Read the GPUs of this scenario.")
@click.option(
    "--host-root",
    metavar="FOLDER",
    type=click.Path(),
    help="The path at which the root directory of the host is mounted.",
)
@click.option(
    "--mig-strategy",
    type=click.Choice(("none", "single", "mixed")),
    help="How MIG devices are advertised. Default: the strategy of the running plugin, or none.",
)
@click.option("--config-file", metavar="FILE", help="A config file of gpu-device-plugin.")
@click.option("--kubelet-socket", metavar="FILE", help="The registration socket of the kubelet.")
@click.option("--lock-dir", metavar="FOLDER", help="The same --lock-dir that gpu-device-plugin uses.")
@output_option("json", "yaml", "svg")
def command(output: str | None, **values: Any) -> None:
    from gpunode.topo.report import print_report  # noqa: PLC0415 - completion does not need these modules

    print_report(values, output)
