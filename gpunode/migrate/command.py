"""`gpunode migrate`: values of other charts become values of the chart gpunode.

The exit status is 1 if the values contain a config file that the agents refuse, and 2 if the input is not valid.
"""

import sys
from typing import Literal

import click

from gpunode.migrate.charts import Chart
from gpunode.migrate.migration import migrate
from gpunode.migrate.render import render_report, render_values, to_document
from gpunode.migrate.source import read_sources
from gpunode.output.formats import output_option, print_document
from gpunode.output.terminal import Terminal, open_terminal
from gpunode.output.verb import FAILED, Verb


@click.command(
    "migrate",
    cls=Verb,
    examples=[
        ("old-values.yaml > values.yaml", "values for the chart gpunode; standard error has what you must do yourself"),
        (
            "- -o report",
            "only the list of what to do, for `helm get values --all -o yaml RELEASE | gpunode migrate - -o report`",
        ),
        ("nvdp.yaml nfd.yaml", "the values of two charts; several files of one chart are merged as helm does"),
        ("clusterpolicy.yaml", "a ClusterPolicy of the GPU Operator"),
    ],
    help="Convert Helm values of NVIDIA's device plugin, the GPU Operator or Node Feature Discovery, or a ClusterPolicy, to values of the"
    " chart gpunode. Of files of the same chart, later files take precedence. - reads standard input. What has no counterpart is reported"
    " on standard error. The exit status is 1 if a config file in the values is not valid.",
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--from",
    "chart",
    type=click.Choice([each.value for each in Chart]),
    help="The chart of the values. Default: the values show the chart.",
)
@output_option("report", "json", "yaml")
@click.pass_context
def command(
    ctx: click.Context, files: tuple[str, ...], chart: str | None, output: Literal["report", "json", "yaml"] | None
) -> None:
    migration = migrate(read_sources(files, None if chart is None else Chart(chart)))
    if output in ("json", "yaml"):
        print_document(to_document(migration), output)
    elif output == "report":
        _echo(render_report(migration, terminal := open_terminal()), terminal)
    else:
        click.echo(render_values(migration), nl=False)
        sys.stdout.flush()
        _echo(render_report(migration, terminal := open_terminal(sys.stderr)), terminal, err=True)
    if migration.problems:
        ctx.exit(FAILED)


def _echo(text: str, terminal: Terminal, *, err: bool = False) -> None:
    click.echo(text, nl=False, err=err, color=terminal.has_colors)
