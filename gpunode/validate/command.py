"""The command line of `gpunode validate`."""

from typing import Any

import click

from gpunode.output.formats import output_option
from gpunode.output.verb import FAILED, Verb


@click.command(
    "validate",
    cls=Verb,
    examples=(
        ("", "check this node, as root"),
        ("--host-root=/host --runtime-socket=/run/runtime/containerd.sock", "the same in the pod of gpu-validator"),
        ("--skip-checks cuda,container", "only read, and start nothing"),
        ("--simulate h100x8", "the checks that simulated GPUs have"),
    ),
    statuses={"0": "No check failed, or the node has no NVIDIA GPU.", "1": "A check failed."},
    help="Check each stage of this GPU node: the driver, its device nodes, CDI specifications, a CUDA kernel on the GPUs that nobody uses,"
    " the devices of the kubelet, and the start of a container. State what to do. Removes everything that a check creates. Needs root.",
)
@click.option("--skip-checks", metavar="NAMES", help="Checks to omit, separated by commas.")
@click.option("--simulate", metavar="NAME|FILE", help="Check simulated GPUs.")
@click.option("--host-root", metavar="FOLDER", help="The path at which the root directory of the host is mounted.")
@click.option("--lock-dir", metavar="FOLDER", help="The same --lock-dir that the agents use.")
@click.option("--driver-root", metavar="FOLDER", help="The root folder of the driver on the host.")
@click.option("--driver-root-ctr-path", metavar="FOLDER", help="The path at which the driver root is mounted.")
@click.option("--cdi-dir", metavar="FOLDER", help="The folder with the CDI specifications of gpu-device-plugin.")
@click.option("--device-list-strategy", metavar="NAMES", help="As for gpu-device-plugin: CDI must work if pods use it.")
@click.option("--podresources-socket", metavar="FILE", help="The socket of the kubelet that lists the devices of pods.")
@click.option("--runtime-socket", metavar="FILE", help="The socket of the container runtime.")
@click.option("--container-image", metavar="IMAGE", help="An image of this project, for the check container.")
@output_option("json", "yaml")
@click.pass_context
def command(ctx: click.Context, /, output: str | None, **values: Any) -> None:
    from gpunode.validate.report import print_report  # noqa: PLC0415 - completion does not need these modules

    if not print_report(values, output):
        ctx.exit(FAILED)
