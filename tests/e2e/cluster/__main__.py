"""`python -m tests.e2e.cluster up | image | status | down`: what `make cluster` and `make cluster-down` run."""

import sys

import click

from tests.e2e.cluster import Cluster, attach, down, up
from tests.e2e.cluster.build import cache_folder
from tests.e2e.cluster.errors import ClusterError
from tests.e2e.cluster.image import GPUNODE, build_gpunode
from tests.e2e.cluster.layout import NODE_NAME


@click.group(help=__doc__)
def command() -> None:
    pass


@command.command("up", help="Build, start and prove a cluster, with the image of this tree; say how to use it.")
@click.option("--node-name", default=NODE_NAME, show_default=True)
def up_command(node_name: str) -> None:
    cluster = up(node_name=node_name, say=_say)
    _import_image(cluster)
    click.echo(f"export KUBECONFIG={cluster.kubeconfig}")


@command.command("image", help="Make the image of this tree anew and give it to the cluster that runs.")
def image_command() -> None:
    _import_image(_running())


@command.command("status", help="Which components run.")
def status_command() -> None:
    cluster = _running()
    for component in cluster.components:
        click.echo(f"{component}: {'runs' if cluster.running(component) else 'stopped'}")
    click.echo(f"export KUBECONFIG={cluster.kubeconfig}")


@command.command("down", help="Stop it and remove all that it made. What was built stays in the cache.")
def down_command() -> None:
    down()


def _running() -> Cluster:
    cluster = attach()
    if cluster is None:
        raise ClusterError("there is no cluster", hint="make cluster")
    return cluster


def _import_image(cluster: Cluster) -> None:
    cluster.import_image(build_gpunode(cache_folder()))
    _say(f"image {GPUNODE}")


def _say(line: str) -> None:
    """Not on standard output: that is for the export line alone."""
    click.echo(line, err=True)


if __name__ == "__main__":
    try:
        command()
    except ClusterError as error:
        sys.exit(f"gpunode-e2e: {error}")
