"""`python -m tests.e2e.cluster up | image | status | down`. `make cluster` and `make cluster-down` run this."""

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


@command.command("up", help="Build, start and test a cluster with the image of this tree, and print its KUBECONFIG.")
@click.option("--node-name", default=NODE_NAME, show_default=True)
def up_command(node_name: str) -> None:
    cluster = up(node_name=node_name, say=_say)
    _import_image(cluster)
    click.echo(f"export KUBECONFIG={cluster.kubeconfig}")


@command.command("image", help="Build the image of this tree again and import it into the running cluster.")
def image_command() -> None:
    _import_image(_running())


@command.command("status", help="List the components and whether they run.")
def status_command() -> None:
    cluster = _running()
    for component in cluster.components:
        click.echo(f"{component}: {'running' if cluster.running(component) else 'stopped'}")
    click.echo(f"export KUBECONFIG={cluster.kubeconfig}")


@command.command(
    "down", help="Stop the cluster and remove everything that it created. Built programs remain in the cache."
)
def down_command() -> None:
    down()


def _running() -> Cluster:
    cluster = attach()
    if cluster is None:
        raise ClusterError("no cluster is running", hint="make cluster")
    return cluster


def _import_image(cluster: Cluster) -> None:
    cluster.import_image(build_gpunode(cache_folder()))
    _say(f"image {GPUNODE}")


def _say(line: str) -> None:
    """Writes to standard error. Standard output contains only the export line."""
    click.echo(line, err=True)


if __name__ == "__main__":
    try:
        command()
    except ClusterError as error:
        sys.exit(f"gpunode-e2e: {error}")
