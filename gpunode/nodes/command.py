"""The command line of `gpunode nodes`."""

from itertools import chain
from typing import Any

import click

from gpunode.cluster.connection import connect, connection_options
from gpunode.nodes.columns import BY_NAME, sort_nodes
from gpunode.nodes.criteria import Criteria, Seen, explain_nothing
from gpunode.nodes.fleet_list import read_fleet
from gpunode.nodes.printing import print_fleet
from gpunode.output.formats import output_option
from gpunode.output.terminal import open_terminal, show_progress
from gpunode.output.verb import Verb
from node_core.kube.http import ApiClient

EXAMPLES = (
    ("", "all nodes with GPUs"),
    ("--free 4 --product H100", "nodes where a pod gets 4 H100"),
    ("--unhealthy --watch", "follow the nodes with problems"),
)


@click.command(
    "nodes",
    cls=Verb,
    examples=EXAMPLES,
    help="Show the nodes with NVIDIA GPUs: model, MIG devices, sharing, free and unhealthy devices, taints and problems. The last line"
    " has the totals. Needs the rights of the ClusterRole gpunode-viewer.",
)
@click.option(
    "--product", default="", help="Only nodes whose model, or label nvidia.com/gpu.product, contains this text."
)
@click.option(
    "--free",
    type=click.IntRange(1),
    metavar="N",
    help="Only nodes that get pods and have N free devices of one resource.",
)
@click.option("--resource", default="", help="Count only devices of this resource, for example gpu or mig-1g.10gb.")
@click.option(
    "--unhealthy", "is_unhealthy", is_flag=True, help="Only nodes with unhealthy devices or with another problem."
)
@click.option("--all", "shows_all", is_flag=True, help="Also nodes without GPUs.")
@click.option("-l", "--selector", default="", help="Only nodes with these labels, as in kubectl.")
@click.option(
    "--sort",
    type=click.Choice(list(BY_NAME)),
    metavar="COLUMN",
    help="Sort by a column, for example free: numbers from the largest, texts from A to Z.",
)
@click.option(
    "-w",
    "--watch",
    is_flag=True,
    help="Follow the changes: in place in a terminal until the key q or Ctrl-C, as new rows in a pipe.",
)
@click.option("--no-headers", is_flag=True, help="Omit the names of the columns and the totals.")
@output_option("wide", "json", "yaml", "csv", "name")
@connection_options
def command(
    selector: str,
    sort: str | None,
    watch: bool,
    no_headers: bool,
    output: str | None,
    kubeconfig: str | None,
    context: str | None,
    **criteria: Any,
) -> None:
    chosen = Criteria(**criteria)
    if watch and output not in (None, "wide"):
        raise click.UsageError(f"--watch prints a table. Remove -o {output}.")
    api = connect(kubeconfig, context).api
    if watch:
        follow(api, chosen, selector, sort, is_wide=output == "wide", has_headers=not no_headers)
        return
    seen = Seen()
    with show_progress("Reading the nodes") as progress:
        pages = read_fleet(api, chosen, seen, selector)
        pages = iter([sort_nodes(chain.from_iterable(pages), sort)]) if sort else pages
        first = next(filter(None, pages), [])
        progress.end()
    if not first and output not in ("json", "yaml"):
        click.echo(explain_nothing(seen, chosen, selector), err=True)
        return
    print_fleet(chain([first], pages), open_terminal(), output, has_headers=not no_headers)


def follow(
    api: ApiClient, criteria: Criteria, selector: str, sort: str | None, *, is_wide: bool, has_headers: bool
) -> None:
    from gpunode.cluster.feed import ClusterFeed  # noqa: PLC0415 - only --watch needs informers
    from gpunode.nodes.watch import FleetWatch, watch_fleet  # noqa: PLC0415

    feed = ClusterFeed(api, selector=selector)
    view = FleetWatch(feed.snapshot, criteria, sort=sort or "name", selector=selector)
    watch_fleet(feed, view, is_wide=is_wide, has_headers=has_headers)
