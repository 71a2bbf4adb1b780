"""The class of all verbs for people: help that begins with examples, errors with hints, exit statuses.

Exit statuses: 0; 1 for a failed request or a problem that the verb found; 2 for a wrong command line; 130 after Ctrl-C; 141 if the reader
of a pipe has ended.
"""

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from node_core.domain.text import to_printable
from node_core.errors import NodeError, SettingsError
from node_core.runtime.command import USAGE
from node_core.runtime.log import configure_log

FAILED, INTERRUPTED, BROKEN_PIPE = 1, 130, 141


class Verb(click.Command):
    """examples: arguments after the name of the verb -> what the command does. For example `("--free 4", "nodes with 4 free GPUs")`."""

    def __init__(self, *args: Any, examples: Sequence[tuple[str, str]] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        self.examples = tuple(examples)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Replaces the method of click: the examples are first."""
        with formatter.section("Examples"):
            formatter.write_dl(
                [(f"{ctx.command_path} {arguments}".rstrip(), what) for arguments, what in self.examples]
            )
        formatter.write_paragraph()
        super().format_help(ctx, formatter)

    def invoke(self, ctx: click.Context) -> Any:
        """Replaces the method of click: translates exceptions to messages and exit statuses."""
        configure_log("auto", "error", sys.stderr)
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except SettingsError as error:
            report_problems(ctx, error.problems)
            ctx.exit(USAGE)
        except NodeError as error:
            report_problems(ctx, [str(error)])
            ctx.exit(FAILED)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes the stream at the exit
            ctx.exit(BROKEN_PIPE)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        return result


def report_problems(ctx: click.Context, problems: Sequence[str]) -> None:
    """Prints each problem on a line of standard error."""
    for problem in problems:
        click.echo(f"{ctx.command_path}: {to_printable(problem)}", err=True)
