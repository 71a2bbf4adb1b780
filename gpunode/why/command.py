"""The command line of `gpunode why`."""

from typing import Any

import click

from gpunode.cluster.connection import connection_options, namespace_option
from gpunode.output.formats import output_option
from gpunode.output.verb import FAILED, Verb

EXAMPLES = (
    ("train-0 -n team", "what prevents this pod from running, node by node"),
    ("deploy/inference", "the same for the pods of a Deployment, StatefulSet, DaemonSet, Job or CronJob"),
    ("-f pod.yaml", "whether a pod that does not exist yet could be placed now"),
)


@click.command(
    "why",
    cls=Verb,
    examples=EXAMPLES,
    statuses={
        "0": "The pod runs, starts, has completed, or could be placed.",
        "1": "The pod does not run and cannot be placed, or a request failed.",
    },
    help="State in plain words what prevents a pod from running, node by node, and the smallest change that would place it. The name of a"
    " Deployment, StatefulSet, DaemonSet, ReplicaSet, Job or CronJob stands for its pods.",
)
@click.argument("target", metavar="[POD|KIND/NAME]", required=False)
@click.option("-f", "--filename", metavar="FILE", help="Explain the pods of this manifest. `-` is standard input.")
@namespace_option
@output_option("json", "yaml")
@connection_options
@click.pass_context
def command(
    ctx: click.Context, /, target: str | None, filename: str | None, output: str | None, **options: Any
) -> None:
    from gpunode.why.report import print_report  # noqa: PLC0415 - completion does not need these modules

    if (target is None) == (filename is None):
        raise click.UsageError("state either a pod or -f FILE", ctx)
    if not print_report(target, filename, output, **options):
        ctx.exit(FAILED)
