"""The class of all verbs for people: help that begins with examples, errors with hints, exit statuses."""

import errno
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click
from click.exceptions import Exit

from gpunode.lazy_group import INTERRUPTED
from node_core.domain.text import to_printable
from node_core.errors import NodeError, SettingsError
from node_core.runtime.command import USAGE
from node_core.runtime.examples import STATUSES, ExamplesCommand
from node_core.runtime.log import configure_log

FAILED, BROKEN_PIPE = 1, 141
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""Errors of a file or device that cannot take the output."""


class Verb(ExamplesCommand):
    """A command whose exceptions become messages and exit statuses."""

    default_statuses: Mapping[str, str] = {
        **STATUSES,
        "1": "A request failed, or the command found a problem.",
        "130": "Ctrl-C ended the command.",
        "141": "The program that reads the output ended.",
    }

    def invoke(self, ctx: click.Context) -> Any:
        """Replaces the method of click."""
        configure_log("auto", "error", sys.stderr)
        with exit_on_errors(ctx.command_path):
            return super().invoke(ctx)


@contextmanager
def exit_on_errors(path: str) -> Iterator[None]:
    """Translates exceptions in the block to messages and exit statuses. path: of the command, for messages. Raises click's Exit."""
    try:
        _require_output()
        yield
        sys.stdout.flush()
    except SettingsError as error:
        report_problems(path, error.problems)
        raise Exit(USAGE) from error
    except NodeError as error:
        report_problems(path, [str(error)])
        raise Exit(FAILED) from error
    except BrokenPipeError as error:
        _discard_output()
        raise Exit(BROKEN_PIPE) from error
    except OSError as error:
        if error.errno not in FULL:
            raise
        _discard_output()
        report_problems(path, [f"the output cannot be written: {error.strerror}"])
        raise Exit(FAILED) from error
    except KeyboardInterrupt as error:
        raise Exit(INTERRUPTED) from error


def _require_output() -> None:
    """Raises NodeError. Python has no stream for a descriptor that is closed at the start."""
    if sys.stdout is None:
        raise NodeError("standard output is closed", hint="redirect the output to a file, or to /dev/null")


def _discard_output() -> None:
    """Python flushes the stream at the exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def report_problems(path: str, problems: Sequence[str]) -> None:
    """Prints each problem on a line of standard error."""
    for problem in problems:
        click.echo(f"{path}: {to_printable(problem)}", err=True)
