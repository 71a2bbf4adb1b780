"""Runs the checks of gpu-validator once, and prints the results."""

from collections.abc import Iterator, Mapping
from typing import Any

import click

from gpu_core.assembly import gpu_dependencies
from gpu_validator.__main__ import command as validator_command
from gpu_validator.build import Host, build_validator
from gpu_validator.check import Report, Verdict
from gpu_validator.kubelet import NodeState
from gpu_validator.settings import validator_settings
from gpunode.output.flags import render_flags
from gpunode.output.formats import print_document
from gpunode.output.paragraph import render_paragraph
from gpunode.output.table import Column, Row, TableWriter
from gpunode.output.terminal import Styled, open_terminal
from node_core.runtime.command import parse_command
from node_core.runtime.services import Services

PROGRAM = "gpunode validate"
COLUMNS = (Column(header="CHECK"), Column(header="VERDICT"), Column(header="DETAIL", min_width=20))
STYLES = {
    Verdict.PASSED: "green",
    Verdict.FAILED: "red",
    Verdict.NOT_APPLICABLE: "bright_black",
    Verdict.SKIPPED: "yellow",
}
NO_GPU = "This node has no NVIDIA GPU, so there is nothing to check."


def print_report(values: Mapping[str, Any], output: str | None) -> bool:
    """values: of the command line. Returns whether no check failed. Raises SettingsError."""
    report = run_checks(values)
    if output is not None:
        print_document(render_document(report), output)
    elif not report.has_gpus:
        click.echo(NO_GPU)
    else:
        _print_text(report)
    return report.failure is None


def run_checks(values: Mapping[str, Any]) -> Report:
    """Raises SettingsError."""
    parsed = parse_command(validator_command, render_flags(values, values), PROGRAM) or {}
    settings, dependencies = validator_settings(parsed), gpu_dependencies(parsed, PROGRAM)
    return build_validator(settings, dependencies, Services(), Host(settings, dependencies)).run(NodeState())


def render_document(report: Report) -> dict[str, Any]:
    """PURE."""
    checks = [
        {"name": each.name.value, "verdict": each.verdict.value, "sentence": each.sentence, "remedy": each.remedy}
        for each in report.checks
    ]
    return {
        "valid": report.failure is None,
        "hasGpus": report.has_gpus,
        "simulated": report.simulated,
        "checks": checks,
    }


def render_rows(report: Report) -> Iterator[Row]:
    """PURE."""
    for each in report.checks:
        yield str(each.name), Styled(each.verdict, STYLES[each.verdict]), each.sentence


def _print_text(report: Report) -> None:
    terminal = open_terminal()
    for line in TableWriter(terminal, COLUMNS).render(list(render_rows(report))):
        click.echo(line)
    for each in report.checks:
        if each.remedy is not None:
            click.echo()
            for line in render_paragraph(terminal, each.remedy, first=f"{each.name}:", indent=17):
                click.echo(line)
