"""The command line of `gpunode toolkit`."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from gpunode.output.formats import output_option
from gpunode.output.verb import FAILED, Verb
from node_core.runtime.examples import ExamplesGroup

Function = TypeVar("Function", bound=Callable[..., Any])
_OPTIONS = (
    click.option("--runtime-socket", metavar="FILE", help="The socket of the runtime, if the node has more than one."),
    click.option("--runtime-config", metavar="FILE", help="The main config file of the runtime."),
    click.option(
        "--cdi-dir", metavar="FOLDER", help="The folder in which gpu-device-plugin writes CDI specifications."
    ),
    click.option("--host-root", metavar="FOLDER", help="The path at which the root directory of the host is visible."),
    click.option("--state-dir", metavar="FOLDER", help="The same --state-dir that gpu-toolkit uses."),
)
_CHANGE_OPTIONS = (
    *_OPTIONS,
    click.option("--runtime-drop-in-config", metavar="FILE", help="The drop-in file to write."),
    click.option(
        "--runtime-restart-mode",
        type=click.Choice(("systemd", "command", "none")),
        help="How the runtime is restarted: its systemd unit, --runtime-restart-command, or not at all.",
    ),
    click.option("--runtime-restart-command", metavar="COMMAND", help="The command that restarts the runtime."),
    click.option(
        "--toolkit-source", metavar="FOLDER", help="NVIDIA's programs, for a runtime that cannot inject CDI devices."
    ),
    click.option("--lock-dir", metavar="FOLDER", help="The same --lock-dir that gpu-toolkit uses."),
)


def _add(options: tuple[Callable[[Function], Function], ...]) -> Callable[[Function], Function]:
    def decorate(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


@click.group(
    cls=ExamplesGroup,
    examples=(
        ("status", "whether pods get GPUs by CDI, and what is missing"),
        ("apply", "switch CDI on in the runtime"),
        ("revert", "restore the files that apply, or the agent, has changed"),
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
)
def toolkit() -> None:
    """Show whether the container runtime of this node injects CDI devices, and switch CDI on.

    Run it as root on a host, or with --host-root=/host in the pod of gpu-toolkit.
    """


@toolkit.command(
    cls=Verb,
    examples=(("", "a line for each runtime"), ("-o json", "the same for programs")),
    statuses={"0": "Pods get GPUs by CDI.", "1": "Something is missing, or the runtime does not answer."},
    help="Show the container runtimes of this node, which one the kubelet uses, and whether it injects CDI devices. Changes nothing.",
)
@_add(_OPTIONS)
@output_option("json", "yaml")
@click.pass_context
def status(ctx: click.Context, /, output: str | None, **values: Any) -> None:
    from gpunode.toolkit.report import print_status  # noqa: PLC0415 - completion does not need these modules

    if not print_status(values, output):
        ctx.exit(FAILED)


@toolkit.command(
    cls=Verb,
    examples=(
        ("", "switch CDI on and restart the runtime"),
        ("--runtime-restart-mode none", "change the file only"),
    ),
    statuses={
        "0": "Pods get GPUs by CDI.",
        "1": "Pods get no GPUs by CDI: the old config is in place, or the new one waits for a restart of the runtime.",
    },
    help="Switch CDI on in the config of the runtime that the kubelet uses, and restart the runtime once. Running containers continue. If"
    " the runtime is not healthy afterwards, the old config is put back. Changes nothing if CDI is on.",
)
@_add(_CHANGE_OPTIONS)
@click.pass_context
def apply(ctx: click.Context, /, **values: Any) -> None:
    from gpunode.toolkit.report import print_change  # noqa: PLC0415

    if not print_change(values, "apply"):
        ctx.exit(FAILED)


@toolkit.command(
    cls=Verb,
    examples=(("", "put the old files back and restart the runtime"),),
    help="Put back every file that gpu-toolkit has changed on this node, byte for byte, and restart the runtime. If others have changed a"
    " file since, only the values of gpu-toolkit are removed from it.",
)
@_add(_CHANGE_OPTIONS)
@click.pass_context
def revert(ctx: click.Context, /, **values: Any) -> None:
    from gpunode.toolkit.report import print_change  # noqa: PLC0415

    if not print_change(values, "revert"):
        ctx.exit(FAILED)
