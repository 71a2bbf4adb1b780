"""`gpunode release`: makes all agents of this node close NVML, for a GPU reset, a change of the MIG configuration or a driver upgrade."""

import math
import secrets
import signal
import subprocess  # nosec B404 # the command of the caller
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import click

from gpu_core.domain.release import DEFAULT_SECONDS, MAX_SECONDS, parse_seconds
from gpu_core.host.release_requests import FOLDER, remove_stale_requests, write_request
from gpu_core.nvml.lock import list_holders
from node_core.decode import describe_os_error
from node_core.domain.duration import parse_interval
from node_core.runtime.examples import ExamplesCommand
from node_core.runtime.instance_lock import DEFAULT_DIRECTORY, has_instances
from node_core.runtime.setting import Parsed, parse_path

MANUAL, COMMAND = "by-hand", "command"
"""Prefixes of request names: a request without and with a command."""
POLL_SECONDS = 0.05
TERMINATION_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
NO_AGENT = "no agent has its lock in {}: none runs on this node, it has another --lock-dir, or it is a pod of gfd, which has no lock"
NOT_RELEASED = 1
"""Exit status if an agent did not close NVML in time. The command did not run then."""


@click.command(
    cls=ExamplesCommand,
    examples=(
        ("-- nvidia-smi --gpu-reset -i 0", "reset a GPU; the agents resume when the command ends"),
        ("--for 10m", "close NVML for ten minutes, or until: gpunode release --end"),
        ("--end", "open NVML again now"),
    ),
    statuses={
        "1": "An agent did not close NVML in time, so COMMAND did not run; or the requests cannot be changed.",
        "126, 127": "COMMAND cannot be executed, or does not exist.",
        "128 + n": "Signal n ended the tool or COMMAND. Otherwise the status is that of COMMAND.",
    },
)
@click.option(
    "--for",
    "seconds",
    type=Parsed(parse_seconds, "duration"),
    default=f"{DEFAULT_SECONDS:g}s",
    help="The agents open NVML again after this time. The time starts again while this command waits and while COMMAND runs."
    f" The maximum is {MAX_SECONDS:g}s.",
)
@click.option(
    "--timeout",
    type=Parsed(parse_interval, "duration"),
    default="60s",
    help="How long to wait until all agents have closed NVML. After that, COMMAND does not run.",
)
@click.option("--end", is_flag=True, help="End all releases that were started without a COMMAND.")
@click.option(
    "--lock-dir",
    envvar="GPUNODE_LOCK_DIR",
    default=DEFAULT_DIRECTORY,
    type=Parsed(parse_path, "path"),
    help="The same --lock-dir that the agents use.",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def release(seconds: float, timeout: float | None, end: bool, lock_dir: Path, command: tuple[str, ...]) -> None:
    """Ask every agent on this node to close the NVIDIA driver, so that you can reset a GPU or replace the driver.

    Labels and advertised devices do not change. With `-- COMMAND`, run the command; the agents resume when the command ends.
    """
    if end and command:
        raise click.UsageError("--end does not run a command. Remove --end, or the command.")
    try:
        if end:
            _end(lock_dir / FOLDER)
        else:
            sys.exit(_release(seconds, math.inf if timeout is None else timeout, lock_dir, command))
    except OSError as error:
        why = f"cannot change the requests in {lock_dir / FOLDER}: {describe_os_error(error)}. Run the command as root on the node."
        raise click.ClickException(why) from error


def _end(folder: Path) -> None:
    """Raises OSError, also if the folder cannot be listed: a release would otherwise continue without a word."""
    with suppress(FileNotFoundError):
        for request in folder.iterdir():
            if request.name.startswith(MANUAL):
                request.unlink(missing_ok=True)


def _release(seconds: float, timeout: float, lock_dir: Path, command: tuple[str, ...]) -> int:
    """Returns the exit status.

    A request without a command remains after this process. A request with a command is removed when this process ends, unless SIGKILL
    ends the process; then the request expires. Each request has a unique name, so one release cannot end or shorten another release.
    """
    name = f"{COMMAND if command else MANUAL}-{secrets.token_hex(4)}"
    with _on_signals(_exit), ExitStack() as undo:
        request = lock_dir / FOLDER / name
        undo.callback(
            request.unlink, missing_ok=True
        )  # before the write, which a signal may interrupt after its rename
        write_request(request.parent, name, seconds)
        remove_stale_requests(lock_dir / FOLDER, (MANUAL, COMMAND), time.time)
        with _renewed(request, seconds):
            if holders := wait_until_released(lock_dir, timeout):
                click.echo(
                    f"gpunode release: after {timeout:g} s these programs still have NVML open: {', '.join(holders)}",
                    err=True,
                )
                return NOT_RELEASED
            has_agents = has_instances(lock_dir)
            if not has_agents:
                click.echo(f"gpunode release: {NO_AGENT.format(lock_dir)}", err=True)
            if command:
                return _run(command)
        write_request(lock_dir / FOLDER, name, seconds)
        undo.pop_all()
        state = "All agents have closed NVML" if has_agents else "Agents keep NVML closed"
        click.echo(f"{state}, for {seconds:g} s or until you run: gpunode release --end")
        return 0


@contextmanager
def _renewed(request: Path, seconds: float) -> Iterator[None]:
    """Renews the request until the block ends. If this process is killed, the request expires after `seconds`."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(seconds / 2):
            try:
                write_request(request.parent, request.name, seconds)
            except OSError as error:
                click.echo(f"gpunode release: cannot renew the request {request}: {error.strerror}", err=True)

    thread = threading.Thread(target=renew, name="renew", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def wait_until_released(lock_dir: Path, seconds: float) -> tuple[str, ...]:
    """Waits until no program has NVML open. Returns the programs that still have NVML open after `seconds`, usually none."""
    end = time.monotonic() + seconds
    while (holders := list_holders(lock_dir)) and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
    return holders


def _run(command: tuple[str, ...]) -> int:
    """Runs the command and returns an exit status as a shell does: 127 if the command does not exist, 126 if it cannot be executed, and
    128 plus the number of the signal that ended it.

    Termination signals are forwarded to the command. This function then still waits for the command, which uses the GPUs until it ends.
    """
    child: subprocess.Popen[bytes] | None = None
    pending: list[int] = []

    def forward(*numbers: int) -> None:
        pending.extend(numbers)
        while child is not None and pending:
            child.send_signal(pending.pop(0))

    with _on_signals(forward):
        try:
            child = subprocess.Popen(command)  # nosec B603 # the caller's arguments, without a shell
        except OSError as error:
            click.echo(f"gpunode release: {command[0]}: {error.strerror}", err=True)
            return 127 if isinstance(error, FileNotFoundError) else 126
        forward()  # signals that arrived during the start
        status = child.wait()
    return 128 - status if status < 0 else status


def _exit(number: int) -> NoReturn:
    """Raises SystemExit, so that context managers clean up."""
    sys.exit(128 + number)


@contextmanager
def _on_signals(handle: Callable[[int], None]) -> Iterator[None]:
    """Handles termination signals within the block. Signals that were ignored before, as under nohup, remain ignored."""
    handled = [each for each in TERMINATION_SIGNALS if signal.getsignal(each) is not signal.SIG_IGN]
    previous = {each: signal.signal(each, lambda number, _: handle(number)) for each in handled}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
