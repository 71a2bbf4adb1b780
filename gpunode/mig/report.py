"""Prints the results of the verbs of `gpunode mig`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from gpu_core.domain.inventory import GpuUuid, MigUuid
from gpu_core.mig.config import render_mig_configs
from gpu_core.mig.layout import export_config
from gpu_core.mig.plan import GpuPlan
from gpu_core.mig.planner import DesiredGpu, plan_gpu
from gpu_core.mig.select import select_layouts
from gpunode.mig.changes import Action, Change, list_changes
from gpunode.mig.documents import layout_document, plan_document
from gpunode.mig.read import MigNode, add_generated, read_file, read_node
from gpunode.mig.render import (
    CHANGES,
    CONFIGS,
    DEVICES,
    LAYOUTS,
    change_rows,
    change_summary_rows,
    config_rows,
    describe_leaving,
    device_rows,
    layout_rows,
    summarize,
)
from gpunode.output.formats import print_document, print_names
from gpunode.output.paragraph import render_paragraph
from gpunode.output.table import Column, Row, TableWriter
from gpunode.output.terminal import open_terminal
from node_core.errors import MigError, SettingsError


def print_layouts(values: Mapping[str, Any], output: str | None, *, has_devices: bool) -> None:
    """Raises SettingsError and NodeError, as all functions of this module."""
    node = read_node(values)
    if output in ("json", "yaml"):
        print_document(layout_document(node), output)
    elif has_devices:
        _print_table(DEVICES, device_rows(node.gpus, node.users), is_wide=output == "wide")
    else:
        _print_table(LAYOUTS, layout_rows(node.gpus), is_wide=output == "wide")
    if output not in ("json", "yaml"):
        _print_sentences(node.notes)


def print_plan(values: Mapping[str, Any], config: str, output: str | None) -> bool:
    """Returns True if the GPUs have the requested layouts."""
    node = read_node(values)
    plans = plan_config(node, config, values["config_file"])
    changes = list_changes(plans, node.users)
    if output in ("json", "yaml"):
        print_document(plan_document(node, config, changes), output)
    else:
        _print_changes(changes, is_wide=output == "wide")
        _print_sentences((summarize(changes, len(plans)), *_notes(plans, changes), *node.notes))
    return all(plan.is_empty for plan in plans)


def _print_changes(changes: Sequence[Change], *, is_wide: bool) -> None:
    if is_wide:
        _print_table(CHANGES, change_rows(changes), is_wide=True)
    else:
        _print_table(CHANGES, change_summary_rows(change for change in changes if change.action is not Action.RETAIN))


def plan_config(node: MigNode, config: str, file: str | None) -> tuple[GpuPlan, ...]:
    """Returns a plan for each GPU that the config selects. All plans that are not possible are one error."""
    layouts = _select_layouts(node, config, file)
    busy = frozenset(map(MigUuid, node.users))
    plans: list[GpuPlan] = []
    problems: list[str] = []
    for gpu in node.gpus:
        if gpu.uuid in layouts:
            try:
                plans.append(plan_gpu(gpu, layouts[gpu.uuid], busy))
            except MigError as error:
                problems.append(str(error))
    if problems:
        raise SettingsError(problems)
    return tuple(plans)


def _select_layouts(node: MigNode, config: str, file: str | None) -> Mapping[GpuUuid, DesiredGpu]:
    try:
        return select_layouts(add_generated(read_file(file), node.gpus), config, node.gpus)
    except MigError as error:
        raise SettingsError([str(error)]) from error


def print_export(values: Mapping[str, Any], output: str | None) -> None:
    node = read_node(values)
    print_document(render_mig_configs(export_config(node.gpus)), output or "yaml")
    _print_sentences(node.notes, err=True)


def print_configs(values: Mapping[str, Any], output: str | None) -> None:
    node = read_node(values)
    configs = add_generated(read_file(values["config_file"]), node.gpus)
    if output in ("json", "yaml"):
        print_document(render_mig_configs(configs), output)
    elif output == "name":
        print_names("config", configs)
    else:
        _print_table(CONFIGS, config_rows(configs, node.gpus))
        _print_sentences(node.notes)


def check_config(values: Mapping[str, Any], config: str) -> None:
    """Raises MigError and SettingsError if the config is not possible on these GPUs."""
    plan_config(read_node(values), config, values["config_file"])


def _notes(plans: Iterable[GpuPlan], changes: Sequence[Change]) -> list[str]:
    notes = list(describe_leaving(changes))
    partial = [str(plan.gpu.index) for plan in plans if plan.is_partial]
    if partial:
        notes.append(f"The driver lists no profiles of GPU {', '.join(partial)} before MIG mode is enabled.")
    if any(change.action in (Action.MIG_ON, Action.MIG_OFF) for change in changes):
        notes.append("A change of the MIG mode needs a GPU that no process uses. GPUs before Hopper also need a reset.")
    return notes


def _print_table(columns: Sequence[Column], rows: Iterable[Row], *, is_wide: bool = False) -> None:
    TableWriter(open_terminal(), columns, is_wide=is_wide).write(list(rows))


def _print_sentences(texts: Iterable[str], *, err: bool = False) -> None:
    terminal = open_terminal()
    for text in texts:
        click.echo("\n".join(render_paragraph(terminal, text)), err=err, color=terminal.has_colors)
