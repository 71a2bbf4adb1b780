"""Exit statuses, errors and help of a verb."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from click.testing import CliRunner

from gpunode.lazy_group import INTERRUPTED
from gpunode.output.verb import BROKEN_PIPE, FAILED, Verb
from node_core.errors import KubeError, SettingsError

WRITES_MUCH = """
import click
from gpunode.output.verb import Verb
@click.command("much", cls=Verb)
def much():
    for number in range(100_000):
        click.echo(str(number))
much(prog_name="much")
"""


def verb(callback: Callable[[], None]) -> Verb:
    return Verb(
        "free", callback=callback, help="Show free GPUs.", examples=[("--all", "all nodes"), ("", "some nodes")]
    )


def fail(error: BaseException) -> Callable[[], None]:
    def callback() -> None:
        raise error

    return callback


@pytest.mark.parametrize(
    ("error", "status", "printed"),
    [
        (KubeError("GET /: no\x1b", hint="do this"), FAILED, "free: GET /: no? (do this)\n"),
        (SettingsError(["a", "b"]), 2, "free: a\nfree: b\n"),
        (KeyboardInterrupt(), INTERRUPTED, ""),
    ],
    ids=["request", "settings", "Ctrl-C"],
)
def test_an_error_is_a_line_and_an_exit_status(error: BaseException, status: int, printed: str) -> None:
    result = CliRunner().invoke(verb(fail(error)), prog_name="free")
    assert (result.exit_code, result.stderr, result.stdout) == (status, printed, "")


def test_the_help_begins_with_examples() -> None:
    lines = CliRunner().invoke(verb(lambda: None), ["--help"], prog_name="gpunode free").stdout.splitlines()
    assert lines[:3] == ["Examples:", "  gpunode free --all  all nodes", "  gpunode free        some nodes"]
    assert "Usage: gpunode free [OPTIONS]" in lines


def test_a_reader_that_ends_is_not_an_error() -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}
    process = subprocess.Popen(
        [sys.executable, "-c", WRITES_MUCH], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), errors) == (BROKEN_PIPE, b"")


@pytest.mark.parametrize(
    ("redirection", "message"),
    [
        (">/dev/full", "much: the output cannot be written: No space left on device\n"),
        (">&-", "much: standard output is closed (redirect the output to a file, or to /dev/null)\n"),
    ],
    ids=["full", "closed"],
)
def test_output_that_cannot_be_written_is_an_error(redirection: str, message: str) -> None:
    arguments = ["sh", "-c", f'exec "$0" -c "$1" {redirection}', sys.executable, WRITES_MUCH]
    ended = subprocess.run(arguments, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (FAILED, message)
