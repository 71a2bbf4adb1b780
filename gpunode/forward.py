"""Subcommands whose arguments another module parses. The module is imported only when its subcommand runs."""

import gc
import importlib
import sys

import click

import node_core.startup


def forwarding_command(name: str, module: str, help: str) -> click.Command:  # noqa: A002 - as click calls it
    """A subcommand that passes all its arguments, and `--help`, to the function `main` of a module."""

    def forward(arguments: tuple[str, ...]) -> None:
        gc.disable()
        main = importlib.import_module(module).main
        node_core.startup.freeze_gc()
        sys.exit(main(arguments))

    return click.Command(
        name,
        callback=forward,
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
        help=help,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True},
    )
