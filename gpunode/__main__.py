"""The command line of `gpunode`."""

import node_core.startup

# isort: split
import click

from gpunode.cdi import cdi
from gpunode.demo.command import demo
from gpunode.forward import forwarding_command
from gpunode.release import release
from node_core.version import VERSION

node_core.startup.freeze_gc()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="gpunode")
def gpunode() -> None:
    """Label Kubernetes nodes with their hardware, and advertise their NVIDIA GPUs."""


for command in (
    forwarding_command("run", "gpunode.run", "Run nfd-lite, gfd and gpu-device-plugin in one process."),
    forwarding_command(
        "doctor", "gpunode.doctor.command", "Check whether pods can get the GPUs of this node, and state what to do."
    ),
    forwarding_command(
        "cleanup",
        "gpunode.cleanup.command",
        "Remove everything that gpunode wrote to this node: labels, taints, resources and files.",
    ),
    demo,
    cdi,
    release,
):
    gpunode.add_command(command)


def main() -> None:
    gpunode(prog_name="gpunode")


if __name__ == "__main__":
    main()
