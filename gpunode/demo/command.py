"""The command line of `gpunode demo`."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from node_core.errors import NodeError, SettingsError
from node_core.runtime.command import report_usage
from node_core.runtime.examples import ExamplesCommand, ExamplesGroup

if TYPE_CHECKING:
    from rich.console import Console

    from gpunode.demo.tour import Tour

DEFAULT_SCENARIO = "h100x8"
NOT_RUNNING = "No demo runs, or the demo cannot be reached."
FAULT_HELP = """Add a fault to the GPUs of the running demo.

KIND and the keys are those of a scenario file. `at` (default: 0) and `for` (default: without an end) are seconds from now.
"""
SCENARIO_HELP = """Change the scenario of the running demo.

SCENARIO is a name or the path of a YAML file. Without SCENARIO, the current scenario starts again, without added faults.
The agents start again if the GPUs are different.
"""


@click.group(
    cls=ExamplesGroup,
    examples=(
        ("", "the tour, then a live view"),
        ("--gpus l40sx4", "the same with other simulated GPUs"),
        ("fault lost gpu=3 for=30", "in another terminal: a GPU of the running demo fails for 30 seconds"),
    ),
    statuses={"1": "The demo failed.", "130": "Ctrl-C ended the demo."},
    invoke_without_command=True,
)
@click.option(
    "--once", is_flag=True, help="Exit after the tour. The demo also exits then if standard output is not a terminal."
)
@click.option(
    "--gpus",
    metavar="SCENARIO",
    help="Simulate the GPUs of this scenario: a name, or the path of a YAML file. The demo reads the file again when the file"
    f" changes. Default: the real GPUs of this machine, or {DEFAULT_SCENARIO} on a machine without GPUs.",
)
@click.pass_context
def demo(context: click.Context, once: bool, gpus: str | None) -> None:
    """Run the three agents on this machine against a simulated cluster, and show what the agents do.

    The commands below change the GPUs of a running demo. You can also type them in the terminal of the demo: `fault lost gpu=3 for=30`.
    """
    if context.invoked_subcommand is None:
        try:
            sys.exit(_run(once=once, gpus=gpus))
        except KeyboardInterrupt:
            sys.exit(130)


class _FaultCommand(ExamplesCommand):
    """Adds the faults of a scenario file to the help."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        from simulation.scenarios import file_format  # noqa: PLC0415

        lines = [line.strip() for line in (file_format.__doc__ or "").splitlines() if line.startswith("  - {at:")]
        formatter.write("\nThe faults of a scenario file:\n" + "".join(f"  {line}\n" for line in lines))


@demo.command(
    cls=_FaultCommand,
    examples=(
        ("lost gpu=3 for=30", "GPU 3 is lost for 30 seconds"),
        ("xid gpu=0 code=79", "GPU 0 reports an Xid"),
        ("driver_gone for=20", "the driver is not loaded for 20 seconds"),
    ),
    statuses={"1": NOT_RUNNING},
    help=FAULT_HELP,
    short_help="Add a fault to the GPUs of the running demo.",
)
@click.argument("kind")
@click.argument("keys", nargs=-1, metavar="[KEY=VALUE]...")
def fault(kind: str, keys: Sequence[str]) -> None:
    _send("fault", kind, *keys)


@demo.command(
    cls=ExamplesCommand,
    examples=(
        ("h100x8-mig-mixed", "other GPUs"),
        ("fleet.yaml", "the GPUs of your own file"),
        ("", "the current scenario from its beginning, without added faults"),
    ),
    statuses={"1": NOT_RUNNING},
    help=SCENARIO_HELP,
    short_help="Change the scenario of the running demo.",
)
@click.argument("scenario", required=False)
def scenario(scenario: str | None) -> None:
    is_path = scenario is not None and ("/" in scenario or scenario.endswith((".yaml", ".yml")))
    _send("scenario", *([] if scenario is None else [str(Path(scenario).absolute()) if is_path else scenario]))


def _send(*words: str) -> None:
    from gpunode.demo.control import send_command  # noqa: PLC0415

    try:
        click.echo(send_command(words))
    except SettingsError as error:
        sys.exit(report_usage(error, f"gpunode demo {words[0]}"))
    except OSError as error:
        sys.exit(f"gpunode demo {words[0]}: {error}")


def _run(*, once: bool, gpus: str | None) -> int:
    # imported here, because the other commands of gpunode do not need these modules
    try:
        from rich.console import Console  # noqa: PLC0415
    except ModuleNotFoundError:
        return _fail("the package rich is not installed. Run: python3 -m pip install rich")
    from gpunode.demo.stage import has_real_gpus, open_stage  # noqa: PLC0415
    from gpunode.demo.tour import Tour, TourError  # noqa: PLC0415

    for number in (signal.SIGTERM, signal.SIGHUP):
        # an exit by an exception removes the temporary directory, as Ctrl-C does
        signal.signal(number, _exit)
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None: closed
        stream.reconfigure(
            errors="replace"
        )  # other programs write into the feed, and their texts may not fit its encoding
    console = Console(highlight=False, width=None if sys.stdout and sys.stdout.isatty() else 140)
    stays_open = console.is_terminal and not once
    console.print("gpunode demo", style="bold")
    try:
        with open_stage(gpus or (None if has_real_gpus() else DEFAULT_SCENARIO)) as stage:
            try:
                _show(Tour(stage, console), console, stays_open=stays_open)
            finally:
                _ignore_signals()  # a second signal must not end the removal of all components
    except SettingsError as error:
        return report_usage(error, "gpunode demo")
    except (TourError, NodeError, OSError) as error:
        return _fail("\n".join([str(error), *getattr(error, "__notes__", ())]))
    return 0


def _show(tour: "Tour", console: "Console", *, stays_open: bool) -> None:
    from gpunode.demo.tour import TourError  # noqa: PLC0415

    try:
        tour.show()
    except TourError as error:
        if not stays_open:
            raise
        console.print(f"\n{error}", style="red", markup=False)
    if stays_open:
        tour.show_commands()
        tour.watch()
    else:
        tour.show_end()


def _exit(number: int, _: object) -> None:
    _ignore_signals()
    sys.exit(128 + number)


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # Python reports a pending signal that becomes SIG_IGN as an error


def _fail(problem: str) -> int:
    print(f"gpunode demo: {problem}", file=sys.stderr)
    return 1
