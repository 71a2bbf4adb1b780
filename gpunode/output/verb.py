"""The class of all verbs for people: help that begins with examples, errors with hints, exit statuses.

Exit statuses: 0; 1 for a failed request or a problem that the verb found; 2 for a wrong command line; 130 after Ctrl-C; 141 if the reader
of a pipe has ended.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from click.exceptions import Exit

from gpunode.lazy_group import INTERRUPTED
from node_core.domain.text import to_printable
from node_core.errors import NodeError, SettingsError
from node_core.runtime.command import USAGE
from node_core.runtime.log import configure_log

FAILED, BROKEN_PIPE = 1, 141


class ExamplesCommand(click.Command):
    """A command whose help begins with examples: arguments after the name of the command -> what the command does.

    For example `("--free 4", "nodes with 4 free GPUs")`.
    """

    examples: Sequence[tuple[str, str]] = ()

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Replaces the method of click: the examples are first."""
        with formatter.section("Examples"):
            formatter.write_dl(
                [(f"{ctx.command_path} {arguments}".rstrip(), what) for arguments, what in self.examples]
            )
        formatter.write_paragraph()
        super().format_help(ctx, formatter)


class Verb(ExamplesCommand):
    """A command whose exceptions become messages and exit statuses."""

    def __init__(self, *args: Any, examples: Sequence[tuple[str, str]] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        self.examples = tuple(examples)

    def invoke(self, ctx: click.Context) -> Any:
        """Replaces the method of click."""
        configure_log("auto", "error", sys.stderr)
        with exit_on_errors(ctx.command_path):
            return super().invoke(ctx)


@contextmanager
def exit_on_errors(path: str) -> Iterator[None]:
    """Translates exceptions in the block to messages and exit statuses. path: of the command, for messages. Raises click's Exit."""
    try:
        yield
        sys.stdout.flush()
    except SettingsError as error:
        report_problems(path, error.problems)
        raise Exit(USAGE) from error
    except NodeError as error:
        report_problems(path, [str(error)])
        raise Exit(FAILED) from error
    except BrokenPipeError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes the stream at the exit
        raise Exit(BROKEN_PIPE) from error
    except KeyboardInterrupt as error:
        raise Exit(INTERRUPTED) from error


def report_problems(path: str, problems: Sequence[str]) -> None:
    """Prints each problem on a line of standard error."""
    for problem in problems:
        click.echo(f"{path}: {to_printable(problem)}", err=True)
