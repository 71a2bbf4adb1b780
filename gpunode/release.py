"""`gpunode release`: has all agents of this node give NVML up, so that a GPU can be reset, MIG be changed or the driver be replaced."""

import math
import secrets
import signal
import subprocess  # nosec B404 # what the caller asks to be run
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

from node_core.domain.release import MOST, USUAL, parse_seconds
from node_core.host.nvml.lock import who_holds
from node_core.host.release_requests import FOLDER, remove_old, write_request
from node_core.runtime.flag_types import Infinite, Interval, PathType
from node_core.runtime.instance import DEFAULT_DIRECTORY

BY_HAND, COMMAND = "by-hand", "command"
"""What the names of our requests begin with."""
LOOK = 0.05
"""Seconds between two looks at who still has NVML open."""
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
NOT_FREE = 1
"""Exit status when the GPUs did not come free, and nothing was run."""


class Term(click.ParamType[float]):
    """Seconds of a request."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return parse_seconds(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.option(
    "--for",
    "seconds",
    type=Term(),
    default=f"{USUAL:g}s",
    help=f"After that the agents go on by themselves; renewed while it waits and a command runs; at most {MOST:g}s.",
)
@click.option("--timeout", type=Interval(), default="60s", help="How long to wait until the GPUs are free.")
@click.option("--end", is_flag=True, help="Take back what was asked for without a command.")
@click.option(
    "--lock-dir", envvar="GPUNODE_LOCK_DIR", default=DEFAULT_DIRECTORY, type=PathType(), help="As of the agents."
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def release(seconds: float, timeout: float | Infinite, end: bool, lock_dir: Path, command: tuple[str, ...]) -> None:
    """Has all agents of this node close NVML; labels and devices stay. With `-- COMMAND`, runs it and has them go on after it."""
    try:
        longest = math.inf if isinstance(timeout, Infinite) else timeout
        sys.exit(_end(lock_dir) if end else _release(seconds, longest, lock_dir, command))
    except OSError as error:
        raise click.ClickException(str(error)) from error


def _end(lock_dir: Path) -> int:
    for request in (lock_dir / FOLDER).glob(f"{BY_HAND}*"):
        request.unlink(missing_ok=True)
    return 0


def _release(seconds: float, timeout: float, lock_dir: Path, command: tuple[str, ...]) -> int:
    """A request without a command is kept; any other goes, whatever ends us except SIGKILL, after which its time does.

    Each has a name of its own, so that nobody takes back or shortens what somebody else asked for.
    """
    name = f"{COMMAND if command else BY_HAND}-{secrets.token_hex(4)}"
    with _on_signals(_leave), ExitStack() as undo:
        request = write_request(lock_dir / FOLDER, name, seconds)
        undo.callback(request.unlink, missing_ok=True)
        remove_old(lock_dir / FOLDER, (BY_HAND, COMMAND), time.time)
        with _renewed(request, seconds):
            if holders := wait_until_free(lock_dir, timeout):
                click.echo(
                    f"gpunode release: not free after {timeout:g} s: {', '.join(holders)} still has NVML open", err=True
                )
                return NOT_FREE
            if command:
                return _run(command)
        write_request(lock_dir / FOLDER, name, seconds)
        undo.pop_all()
        click.echo(f"The GPUs are free for {seconds:g} s, or until: gpunode release --end")
        return 0


@contextmanager
def _renewed(request: Path, seconds: float) -> Iterator[None]:
    """While we live it does not run out: `seconds` bound what is left of it after us."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(seconds / 2):
            try:
                write_request(request.parent, request.name, seconds)
            except OSError as error:
                click.echo(f"gpunode release: {request} is not renewed: {error.strerror}", err=True)

    renewing = threading.Thread(target=renew, name="renew", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()


def wait_until_free(lock_dir: Path, seconds: float) -> tuple[str, ...]:
    """Who still has NVML open when the time is over; empty as soon as nobody has."""
    end = time.monotonic() + seconds
    while (holders := who_holds(lock_dir)) and time.monotonic() < end:
        time.sleep(LOOK)
    return holders


def _run(command: tuple[str, ...]) -> int:
    """As a shell tells it: 127 where there is no such command, 126 where it cannot be run, 128 and the signal that ended it.

    It is told what we are told and waited for, whatever it makes of it: the GPUs are its own until it has ended.
    """
    child: subprocess.Popen[bytes] | None = None
    told: list[int] = []

    def tell(*numbers: int) -> None:
        told.extend(numbers)
        while child is not None and told:
            child.send_signal(told.pop(0))

    with _on_signals(tell):
        try:
            child = subprocess.Popen(command)  # nosec B603 # no shell, as it was given
        except OSError as error:
            click.echo(f"gpunode release: {command[0]}: {error.strerror}", err=True)
            return 127 if isinstance(error, FileNotFoundError) else 126
        tell()
        status = child.wait()
    return 128 - status if status < 0 else status


def _leave(number: int) -> NoReturn:
    """As an interrupt does, so that what was begun is undone."""
    sys.exit(128 + number)


@contextmanager
def _on_signals(act: Callable[[int], None]) -> Iterator[None]:
    """For what asks us to end. What was ignored when we began stays so, as with nohup."""
    asked = [each for each in ENDING if signal.getsignal(each) is not signal.SIG_IGN]
    before = {each: signal.signal(each, lambda number, _: act(number)) for each in asked}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
