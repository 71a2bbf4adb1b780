"""The command line of `gpunode node`."""

import time

import click

from gpunode.cluster.connection import connect, connection_options
from gpunode.output.formats import output_option, print_document
from gpunode.output.terminal import open_terminal, show_progress
from gpunode.output.verb import Verb

EXAMPLES = (
    ("gpu-1", "everything about one Node"),
    ("node/gpu-1 -o yaml", "the same as YAML"),
)


@click.command(
    "node",
    cls=Verb,
    examples=EXAMPLES,
    help="Show one Node in full: GPUs, resources, the pods that have devices, health with its evidence, recent Events, and the labels of"
    " each agent. If gpu-exporter runs on the Node and you may get pods/proxy, also which pod has which GPU or MIG device.",
)
@click.argument("name")
@output_option("json", "yaml")
@connection_options
def command(name: str, output: str | None, kubeconfig: str | None, context: str | None) -> None:
    from gpunode.node.document import render_facts  # noqa: PLC0415 - completion does not need these modules
    from gpunode.node.facts import read_facts  # noqa: PLC0415
    from gpunode.node.report import render_report  # noqa: PLC0415

    name = name.removeprefix("node/").removeprefix("nodes/")
    if not name:
        raise click.UsageError("The name of the Node is empty.")
    api = connect(kubeconfig, context).api
    with show_progress(f"Reading the Node {name}"):
        facts = read_facts(api, name)
    if output is not None:
        print_document(render_facts(facts), output)
        return
    terminal = open_terminal()
    click.echo("\n".join(render_report(facts, terminal, time.time())), color=terminal.has_colors)
