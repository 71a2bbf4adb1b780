"""The command line of `gpunode mig`."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from gpunode.output.formats import output_option
from gpunode.output.verb import FAILED, Verb
from node_core.runtime.examples import ExamplesGroup

Function = TypeVar("Function", bound=Callable[..., Any])
_NODE_OPTIONS = (
    click.option("--simulate", metavar="NAME|FILE", help="Read the GPUs of this scenario."),
    click.option("--host-root", metavar="FOLDER", help="The path at which the root directory of the host is mounted."),
    click.option("--lock-dir", metavar="FOLDER", help="The same --lock-dir that the agents use."),
    click.option(
        "--pod-resources-socket", metavar="FILE", help="The socket of the kubelet that lists the devices of pods."
    ),
)
_FILE_HELP = (
    "A config file of mig-parted, or - for standard input. Its configs are added to those that `names` prints without this flag, and"
    " replace those with the same name."
)
_CONFIG_OPTIONS = (
    click.option("-f", "--config-file", metavar="FILE", envvar="MIG_PARTED_CONFIG_FILE", help=_FILE_HELP),
    *_NODE_OPTIONS,
)


def _add(options: tuple[Callable[[Function], Function], ...]) -> Callable[[Function], Function]:
    def decorate(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


_config_argument = click.argument("config", envvar="MIG_PARTED_SELECTED_CONFIG")


@click.group(
    cls=ExamplesGroup,
    examples=(
        ("list", "the layout of each GPU, and what could still be created"),
        ("names", "the configs for the GPUs of this node"),
        ("plan all-balanced", "what would change, and which pods would be affected"),
        ("apply all-balanced", "change the GPUs to this layout"),
        ("assert all-balanced", "check that the GPUs have this layout"),
        ("export > layout.yaml", "the present layout as a config file"),
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
)
def mig() -> None:
    """Show, plan, change and export the MIG layouts of the GPUs of this node.

    Run it as root on a host, or in the pod of gpu-device-plugin.
    """


@mig.command(
    "list",
    cls=Verb,
    examples=(("", "a line for each GPU"), ("--devices", "a line for each MIG device, with its pod")),
    help="Show the MIG mode and the MIG devices of each GPU, and what could be created besides them. FREE SLICES are memory slices without"
    " a GPU instance. ROOM FOR has the number of GPU instances of each profile that could be created; the numbers are alternatives.",
)
@click.option(
    "--devices", "has_devices", is_flag=True, help="Show a line for each MIG device, with the pod that has it."
)
@_add(_NODE_OPTIONS)
@output_option("wide", "json", "yaml")
def list_(output: str | None, has_devices: bool, **values: Any) -> None:
    from gpunode.mig.report import print_layouts  # noqa: PLC0415 - completion does not need these modules

    print_layouts(values, output, has_devices=has_devices)


@mig.command(
    cls=Verb,
    examples=(
        ("", "the configs that exist without a file"),
        ("-f config.yaml", "also those of a file"),
        ("-o yaml", "the same as a config file"),
    ),
    help="Show the names of MIG configs, and the layout of each GPU of this node with each config. The configs all-... are those of"
    " NVIDIA's MIG manager, made from the profiles that the GPUs of this node have.",
)
@_add(_CONFIG_OPTIONS)
@output_option("json", "yaml", "name")
def names(output: str | None, **values: Any) -> None:
    from gpunode.mig.report import print_configs  # noqa: PLC0415

    print_configs(values, output)


@mig.command(
    cls=Verb,
    examples=(
        ("all-1g.10gb", "the smallest change to seven small devices on each GPU"),
        ("-f config.yaml team-a -o wide", "also the devices that stay"),
        ("--simulate h100x8-mig-mixed all-balanced", "a plan for simulated GPUs"),
    ),
    help="Show what would change if CONFIG were applied: the MIG devices to create and to destroy, and the pods that have them. MIG"
    " devices that both layouts contain stay, also while pods use them. Nothing is changed.",
)
@_config_argument
@_add(_CONFIG_OPTIONS)
@output_option("wide", "json", "yaml")
def plan(config: str, output: str | None, **values: Any) -> None:
    from gpunode.mig.report import print_plan  # noqa: PLC0415

    print_plan(values, config, output)


@mig.command(
    cls=Verb,
    examples=(
        ("all-balanced", "give all GPUs devices of several sizes"),
        ("-f layouts.yaml team-a", "a layout of a file"),
    ),
    statuses={
        "1": "A device that must go is in use, mig-manager runs on the node, or the change failed. After a failure, the message states"
        " whether the previous layout is restored.",
    },
    help="Change the GPUs to the layouts of CONFIG. `plan` shows what would change. Nothing is changed while a pod or a process uses a MIG"
    " device that must go, or a GPU whose MIG mode must change. If NVML requires a reset for a new MIG mode, the agents of the node"
    " close NVML, and nvidia-smi of the driver resets the GPU. Needs root.",
)
@_config_argument
@click.option(
    "--hooks-file",
    metavar="FILE",
    envvar="MIG_PARTED_HOOKS_FILE",
    help="A hooks file of mig-parted: commands that run before and after the change. A command that fails before the change prevents it.",
)
@click.option(
    "--state-dir",
    metavar="FOLDER",
    default="/var/lib/gpunode",
    show_default=True,
    help="The folder on a disk in which an unfinished change is recorded. The next `apply` completes or reverts it.",
)
@_add(_CONFIG_OPTIONS)
def apply(config: str, **values: Any) -> None:
    from gpunode.mig.apply import apply_config  # noqa: PLC0415

    apply_config(values, config)


@mig.command(
    "assert",
    cls=Verb,
    examples=(
        ("all-disabled", "fail if a GPU is in MIG mode"),
        ("--valid-config -f config.yaml team-a", "check only that these GPUs can have the layout"),
    ),
    statuses={"1": "The GPUs do not have the layout, or they cannot be read."},
    help="Check that the GPUs have the layouts of CONFIG, and print what differs. GPUs that no entry of CONFIG selects are ignored.",
)
@_config_argument
@click.option("--valid-config", is_flag=True, help="Check only that CONFIG is possible on these GPUs.")
@_add(_CONFIG_OPTIONS)
@output_option("wide", "json", "yaml")
@click.pass_context
def assert_(ctx: click.Context, /, config: str, valid_config: bool, output: str | None, **values: Any) -> None:
    from gpunode.mig.report import check_config, print_plan  # noqa: PLC0415

    if valid_config:
        check_config(values, config)
    elif not print_plan(values, config, output):
        ctx.exit(FAILED)


@mig.command(
    cls=Verb,
    examples=(("> layout.yaml", "a file for `plan -f` and for mig-manager"),),
    help="Print the present layouts as a config file of mig-parted, with one config: current.",
)
@_add(_NODE_OPTIONS)
@output_option("json", "yaml")
def export(output: str | None, **values: Any) -> None:
    from gpunode.mig.report import print_export  # noqa: PLC0415

    print_export(values, output)
