"""A group of commands whose modules are imported only when their command runs, so that no command waits for the imports of others."""

import gc
import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click

import node_core.startup


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """attribute: the click command in the module. help: one sentence for the list of commands.

    is_agent: the module parses its arguments in its function `main(arguments)`, which returns the exit status.
    """

    module: str
    help: str
    attribute: str = "command"
    is_agent: bool = False


class LazyGroup(click.Group):
    """sections: title -> name -> command, in the order of --help."""

    def __init__(self, *args: Any, sections: dict[str, dict[str, Entry]], **options: Any) -> None:
        super().__init__(*args, **options)
        self._sections = sections
        self._entries = {name: entry for section in sections.values() for name, entry in section.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if (entry := self._entries.get(cmd_name)) is None:
            return None
        if entry.is_agent and not ctx.resilient_parsing:
            return forwarding_command(cmd_name, entry)
        command: click.Command = getattr(importlib.import_module(entry.module), entry.attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Adds the nearest name to the error for an unknown command."""
        from node_core.schema import suggest  # noqa: PLC0415 - it imports msgspec, which an agent may not need

        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise click.UsageError(f"unknown command {args[0]!r}{suggest(args[0], self._entries)}", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for title, section in self._sections.items():
            with formatter.section(title):
                formatter.write_dl([(name, entry.help) for name, entry in section.items()])


def forwarding_command(name: str, entry: Entry) -> click.Command:
    """Returns a command that passes all its arguments, and `--help`, to the function `main` of the module."""

    def forward(arguments: Sequence[str]) -> None:
        gc.disable()
        main: Callable[[Sequence[str]], int] = importlib.import_module(entry.module).main
        node_core.startup.freeze_gc()
        sys.exit(main(arguments))

    return click.Command(
        name,
        callback=forward,
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
        help=entry.help,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True},
    )
