"""`gpunode demo`: the command line of the tour."""

import signal
import sys

import click

from node_core.errors import SettingsError
from node_core.runtime.command import report_usage

DEFAULT_SCENARIO = "h100x8"


@click.command()
@click.option("--once", is_flag=True, help="End after the tour. So does a run whose output is not a terminal.")
@click.option(
    "--gpus",
    metavar="SCENARIO",
    help=f"Simulate this fleet: a name or a YAML file. Default: real GPUs where there are any, else {DEFAULT_SCENARIO}.",
)
def demo(once: bool, gpus: str | None) -> None:
    """Runs the three agents on this machine against a small cluster on loopback, and shows what they do."""
    # what the demo needs is imported here: the other commands of gpunode do without it
    from rich.console import Console  # noqa: PLC0415

    from gpunode.demo.stage import has_real_gpus, open_stage  # noqa: PLC0415
    from gpunode.demo.tour import Tour, TourError  # noqa: PLC0415

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(
            number, lambda arrived, _: sys.exit(128 + arrived)
        )  # the folder and its kubeconfig go, as at Ctrl-C
    scenario = gpus or (None if has_real_gpus() else DEFAULT_SCENARIO)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    stays = console.is_terminal and not once
    try:
        with open_stage(scenario) as stage:
            tour = Tour(stage, scenario, console)
            tour.show(stays=stays)
            if stays:
                tour.follow()
    except SettingsError as error:
        sys.exit(report_usage(error, "gpunode demo"))
    except TourError as error:
        sys.exit(f"gpunode demo: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
