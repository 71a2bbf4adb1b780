"""The output formats: those of kubectl, `-o wide|json|yaml|name`, and csv and svg."""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, TypeVar

import click
import yaml

from gpunode.output.table import Column
from gpunode.output.terminal import Cell, Styled
from node_core.domain.text import to_printable

Function = TypeVar("Function", bound=Callable[..., Any])
Format = Literal["wide", "json", "yaml", "csv", "name", "svg", "report"]


def output_option(*formats: Format) -> Callable[[Function], Function]:
    """Adds -o/--output to a verb. Without the flag, the value is None: the format for people."""
    return click.option(
        "-o", "--output", type=click.Choice(formats), help="The output format. Default: text for people."
    )


def print_document(document: Any, output: str) -> None:
    """Prints dicts and lists as JSON or YAML. Control characters are escaped."""
    if output == "json":
        print(json.dumps(document, indent=2))
    else:
        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        print(yaml.dump(document, Dumper=dumper, sort_keys=False, default_flow_style=False, width=UNFOLDED), end="")


def print_csv(columns: Sequence[Column], rows: Iterable[Sequence[Cell]], *, has_header: bool = True) -> None:
    """Prints RFC 4180 with all columns, also those of `-o wide`."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if has_header:
        writer.writerow([each.header.lower().replace(" ", "_") for each in columns])
    for row in rows:
        writer.writerow([to_printable(each.text if isinstance(each, Styled) else each) for each in row])


def print_names(kind: str, names: Iterable[str]) -> None:
    """Prints `kind/name` lines, which kubectl accepts as arguments. kind: for example `node`."""
    for name in names:
        print(f"{kind}/{to_printable(name)}")


UNFOLDED = 1 << 20
"""The width of a line of YAML: long texts are not folded."""
