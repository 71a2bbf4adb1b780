"""Prints nodes in the format of -o, as they are read."""

from collections.abc import Iterable

import click

from gpunode.cluster.fleet import GpuNode, render_document
from gpunode.nodes.columns import COLUMNS, row_of
from gpunode.nodes.totals import Totals
from gpunode.output.formats import print_csv, print_document, print_names
from gpunode.output.paragraph import render_paragraph
from gpunode.output.table import TableWriter
from gpunode.output.terminal import Terminal

Pages = Iterable[list[GpuNode]]


def print_fleet(pages: Pages, terminal: Terminal, output: str | None, *, has_headers: bool) -> None:
    """output: the value of -o. has_headers: also the totals of a table."""
    match output:
        case "json" | "yaml":
            print_document({"nodes": [render_document(node) for page in pages for node in page]}, output)
        case "csv":
            for number, page in enumerate(pages):
                print_csv(COLUMNS, map(row_of, page), has_header=has_headers and not number)
        case "name":
            for page in pages:
                print_names("node", (node.name for node in page))
        case _:
            print_table(pages, terminal, is_wide=output == "wide", has_headers=has_headers)


def print_table(pages: Pages, terminal: Terminal, *, is_wide: bool, has_headers: bool) -> None:
    writer = TableWriter(terminal, COLUMNS, is_wide=is_wide, has_header=has_headers)
    totals = Totals()
    for page in pages:
        writer.write([row_of(node) for node in page])
        for node in page:
            totals.add(node)
    if has_headers:
        click.echo("\n".join(["", *render_paragraph(terminal, totals.render())]))
