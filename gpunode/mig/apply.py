"""`gpunode mig apply`: one attempt of mig-manager, without a cluster."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click

from gpu_core.assembly import Dependencies
from gpu_core.domain.inventory import Inventory
from gpu_core.host.release_requests import FOLDER
from gpu_core.mig.select import select_layouts
from gpunode.doctor.agents import find_agent
from gpunode.mig.read import add_generated, open_dependencies, open_usage, read_file
from gpunode.output.terminal import show_progress
from mig_manager.agent import NAME as MANAGER
from mig_manager.changer import LayoutChanger
from mig_manager.hooks import HookRunner
from mig_manager.journal import Journal, journal_path
from mig_manager.outcome import Applied, Busy, Failed, Reason, Released, Request
from mig_manager.reset import REQUEST, GpuReset, RunReset, SmiReset, find_smi
from mig_manager.surroundings import Surroundings
from node_core.errors import MigError, SettingsError
from node_core.runtime.instance_lock import DEFAULT_DIRECTORY

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def apply_config(values: Mapping[str, Any], config: str) -> None:
    """Gives the GPUs the layouts of a config, and prints what was changed. Raises SettingsError and NodeError."""
    dependencies = open_dependencies(values)
    lock_dir = dependencies.common.lock_dir or DEFAULT_DIRECTORY
    surroundings = _surroundings(dependencies, values, lock_dir)
    _refuse_manager(lock_dir, dependencies.common.node_name)
    with ExitStack() as stack:
        changer = LayoutChanger(surroundings, on_change=lambda: stack.enter_context(ignore_signals()))
        with show_progress("Changing the MIG layouts"):
            outcome = changer.run(Request(config=config, is_overdue=True))
    match outcome:
        case Applied(changes=changes):
            click.echo(
                "\n".join(f"{each}." for each in changes) or "The GPUs have the requested layouts. Nothing was changed."
            )
        case Busy():
            raise MigError(f"nothing was changed: {outcome.message}", hint="end these users, and run the command again")
        case Failed(reason=Reason.INVALID, message=message):
            raise SettingsError([message])
        case Failed(message=message):
            raise MigError(message)
        case Released():
            raise MigError("nothing was changed, because NVML is released", hint="run the command again afterwards")


def _refuse_manager(lock_dir: Path, node_name: str) -> None:
    """Raises MigError if mig-manager runs: it would replace the layouts by those of the Node's label."""
    if find_agent(lock_dir, MANAGER, node_name).is_running:
        raise MigError(
            f"{MANAGER} runs on this node, and gives the GPUs the layouts of the Node's label",
            hint="set the label: kubectl label node NODE nvidia.com/mig.config=CONFIG --overwrite",
        )


def _surroundings(dependencies: Dependencies, values: Mapping[str, Any], lock_dir: Path) -> Surroundings:
    configs = read_file(values["config_file"])
    state_dir = Path(values["state_dir"]) if values["state_dir"] else None

    reset = _build_reset(dependencies, lock_dir)

    def discover() -> Inventory:
        dependencies.inventory.invalidate()
        return dependencies.inventory.discover()

    return Surroundings(
        open_nvml=dependencies.nvml,
        discover=discover,
        select=lambda name, gpus: select_layouts(add_generated(configs, gpus), name, gpus),
        read_usage_of=open_usage(dependencies, values["pod_resources_socket"]).read,
        set_leaving=lambda _: None,
        reset=reset.reset,
        end_reset=reset.end,
        pods=_refuse_pods,
        journal=Journal(journal_path(state_dir, is_simulated=dependencies.simulated is not None)),
        hooks=HookRunner(path=values["hooks_file"] and Path(values["hooks_file"])),
    )


def _build_reset(dependencies: Dependencies, lock_dir: Path) -> GpuReset:
    run: RunReset = (
        SmiReset(find=partial(find_smi, dependencies.driver_root, dependencies.root, dependencies.library_dirs))
        if dependencies.simulated is None
        else dependencies.simulated.reset_gpus
    )
    return GpuReset(lock_dir=lock_dir, run=run, is_released=(lock_dir / FOLDER / REQUEST).exists)


def _refuse_pods() -> NoReturn:
    raise AssertionError("the policy `wait` removes no pods")


@contextmanager
def ignore_signals() -> Iterator[None]:
    """Within the block, Ctrl-C and other signals that end a process have no effect: a change that has begun is completed."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
