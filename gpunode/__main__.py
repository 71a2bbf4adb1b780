"""`gpunode`: the command for people."""

import sys

import click

from gpunode.cdi import cdi
from gpunode.demo.command import demo
from gpunode.release import release
from node_core.version import VERSION


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="gpunode")
def gpunode() -> None:
    """Turns what a Kubernetes node is into what a cluster can schedule on, GPUs first."""


@gpunode.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(arguments: tuple[str, ...]) -> None:
    """Run nfd-lite, gfd and gpu-device-plugin in one process."""
    from gpunode.run import main as run_agents  # noqa: PLC0415 - the demo and --help do without it

    sys.exit(run_agents(arguments))


@gpunode.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def doctor(arguments: tuple[str, ...]) -> None:
    """Say why this node has the GPUs that it has, and what to do."""
    from gpunode.doctor import main as examine  # noqa: PLC0415 - the demo and --help do without it

    sys.exit(examine(arguments))


@gpunode.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def cleanup(arguments: tuple[str, ...]) -> None:
    """Take from this node what is ours, and nothing else."""
    from gpunode.cleanup.command import main as clean  # noqa: PLC0415 - the demo and --help do without it

    sys.exit(clean(arguments))


gpunode.add_command(demo)
gpunode.add_command(cdi)
gpunode.add_command(release)


def main() -> None:
    gpunode(prog_name="gpunode")


if __name__ == "__main__":
    main()
