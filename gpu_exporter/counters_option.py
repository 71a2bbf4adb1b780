"""The option for dcgm-exporter's file of counters. The file is watched: the agent starts again after a change."""

from pathlib import Path
from typing import Any

import click

from gpu_exporter.counters_file import parse_counters
from gpu_exporter.selection import KNOWN
from node_core.decode import read_document, text_of
from node_core.errors import SettingsError
from node_core.runtime.command import CONFIG_FILES, NOTES, PROBLEMS
from node_core.runtime.setting import GroupedOption, Parsed, optional_path

IN_UPSTREAM_IMAGE = Path("/etc/dcgm-exporter")
"""The folder of the files in dcgm-exporter's image, which old manifests name."""


def counters_option() -> click.Option:
    """Builds the option. Its value is a CountersFile; None for the defaults."""
    return GroupedOption(
        ["--collectors", "-f", "collectors"],
        heading="Metrics of GPUs",
        envvar=["DCGM_EXPORTER_COLLECTORS"],
        type=Parsed(optional_path, "path"),
        default=None,
        callback=_read,
        show_envvar=True,
        help="File that selects the exported fields, in the format of dcgm-exporter: one line `FIELD, type, help` for each field. "
        "Default: the fields that gpu-metrics.md marks as default.",
    )


def _read(ctx: click.Context, _: click.Parameter, path: Path | None) -> Any:
    if path is None:
        return None
    fingerprints = ctx.meta.setdefault(CONFIG_FILES, {})
    fingerprints[path] = ""
    if path.parent == IN_UPSTREAM_IMAGE and not path.exists():
        note = f"--collectors: {path} is a file of dcgm-exporter's image. The default fields are exported"
        ctx.meta.setdefault(NOTES, []).append(note)
        return None
    try:
        document = read_document(path)
        fingerprints[path] = document.fingerprint
        return parse_counters(text_of(document), KNOWN)
    except SettingsError as error:
        ctx.meta.setdefault(PROBLEMS, []).extend(error.problems)
        return None
