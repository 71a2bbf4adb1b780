"""Conversions of single values. PURE. A value of a wrong type stays the same, and is reported by its type in the table."""

import importlib
from collections.abc import Iterator, Sequence
from typing import Any

import click

from gpunode.migrate.correspondence import Advise, Convert
from node_core.schema import suggest

_MODULES = {
    "nfd-lite": "nfd_lite.__main__",
    "nfd-lite-topology": "nfd_lite.topology.__main__",
    "gfd": "gfd.__main__",
    "gpu-device-plugin": "device_plugin.__main__",
    "gpu-exporter": "gpu_exporter.__main__",
    "mig-manager": "mig_manager.__main__",
    "gpu-toolkit": "gpu_toolkit.__main__",
}
SET_BY_CHART = (
    "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES",
    "NVIDIA_MIG_MONITOR_DEVICES",
    "NODE_NAME",
    "NODE_ADDRESS",
)
"""Environment variables that the chart sets, or sets with `migMonitor`."""
OF_OPERATOR = "nvidia.com/gpu.deploy."
"""Labels by which the GPU Operator selects the nodes of its own pods."""


def to_list(value: Any, _: Advise) -> Any:
    """A text with commas becomes a list."""
    return [word for part in value.split(",") if (word := part.strip())] if isinstance(value, str) else value


def to_amount(value: Any, _: Advise) -> Any:
    """The GPU Operator writes a number of pods as text. In a DaemonSet, text is a percentage."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


def false_only(value: Any, _: Advise) -> Any:
    """Omits `true`, which is the default."""
    return None if value is True else value


def omit(default: str) -> Convert:
    """Returns a conversion that omits the default of the other chart, which has no effect here."""
    return lambda value, _: None if value == default else value


def own_env(value: Any, _: Advise) -> Any:
    """Omits the environment variables that the chart sets."""
    if not isinstance(value, list):
        return value
    return [each for each in value if not (isinstance(each, dict) and each.get("name") in SET_BY_CHART)] or None


def own_selector(value: Any, _: Advise) -> Any:
    """Omits the labels by which the GPU Operator selects nodes."""
    if not isinstance(value, dict):
        return value
    return {key: each for key, each in value.items() if not str(key).startswith(OF_OPERATOR)} or None


def own_args(agent: str) -> Convert:
    """Returns a conversion that omits the flags that an agent does not have, with their values. agent: the name of its program."""

    def convert(value: Any, advise: Advise) -> Any:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            return value
        command: click.Command = importlib.import_module(_MODULES[agent]).command
        known = {flag for each in command.params for flag in (*each.opts, *each.secondary_opts)}
        remaining: list[str] = []
        for flag, words in _flags(value):
            if flag in known:
                remaining += words
            else:
                advise(f"{flag} is not a flag of {agent}{suggest(flag, known)}.")
        return remaining or None

    return convert


def _flags(words: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yields each flag with its words: `--a=b`, `--a b` or `-a`. Long flags may have one dash, as in Go."""
    group: list[str] = []
    for word in (*words, "-"):
        if word.startswith("-") and group:
            name = group[0].partition("=")[0]
            yield (f"-{name}" if not name.startswith("--") and len(name) > 2 else name), group
            group = []
        group.append(word)
