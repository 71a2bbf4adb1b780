"""Commands whose help begins with examples, and that declare their exit statuses. Man pages and docs/reference/commands.md contain both."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

STATUSES = {
    "0": "The command succeeded.",
    "2": "The command line, an environment variable or a file of settings is wrong.",
}
"""The exit statuses of every command."""


class ExamplesCommand(click.Command):
    """examples: arguments after the name of the command -> what the command does; for example `("--free 4", "nodes with 4 free GPUs")`.

    statuses: exit status -> its meaning, as a sentence; in addition to STATUSES.
    """

    default_statuses: Mapping[str, str] = STATUSES

    def __init__(
        self,
        *args: Any,
        examples: Sequence[tuple[str, str]] = (),
        statuses: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.examples = tuple(examples)
        self.statuses = {**self.default_statuses, **(statuses or {})}

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Replaces the method of click: the examples are first."""
        if self.examples:
            with formatter.section("Examples"):
                formatter.write_dl(
                    [(f"{ctx.command_path} {arguments}".rstrip(), what) for arguments, what in self.examples]
                )
            formatter.write_paragraph()
        super().format_help(ctx, formatter)


class ExamplesGroup(ExamplesCommand, click.Group):
    """A group of commands whose help begins with examples."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Replaces the method of click: the error for an unknown command names the nearest one."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from node_core.schema import suggest  # noqa: PLC0415 - it imports msgspec, which an agent may not need

            raise click.UsageError(
                f"unknown command {args[0]!r}{suggest(args[0], self.list_commands(ctx))}", ctx
            ) from error
