"""Renders a migration: values.yaml with comments, the report for people, and a document for programs. PURE."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from gpunode.migrate.draft import Found
from gpunode.migrate.migration import Migration, Note, nest
from gpunode.output.formats import UNFOLDED
from gpunode.output.paragraph import render_paragraph
from gpunode.output.terminal import Styled, Terminal
from node_core.domain.text import to_printable

HEAD = """\
# Values of the chart gpunode, from values of {}. Each comment names the value that the next line comes from.
# Values that are not here have the defaults of the chart gpunode. `helm get values --all` also shows defaults of the other chart.
"""


ORDER = [
    "image", "imagePullSecrets", "nodeSelector", "affinity", "gateLabel", "tolerations", "priorityClassName",
    "updateStrategy", "podAnnotations", "podLabels", "migStrategy", "deviceListStrategy", "deviceIDStrategy",
    "deviceDiscoveryStrategy", "nvidiaDriverRoot", "nvidiaDevRoot", "gdrcopyEnabled", "gdsEnabled", "mofedEnabled",
    "compatWithCPUManager", "mps", "cdi", "runtimeClassName", "privileged", "config", "kubeletRootDir", "nfd", "gfd",
    "devicePlugin", "topologyUpdater", "dcgmExporter", "migManager", "toolkit", "validator", "driver", "featureGates", "gc", "operator",
    "prometheus",
]  # fmt: skip
"""The order of values.yaml of the chart."""


class _Dumper(yaml.SafeDumper):
    """Writes texts with several lines as they are, and each value in full."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - a method of yaml
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def render_values(migration: Migration) -> str:
    """Returns values.yaml. Control characters are escaped."""
    ordered = sorted(migration.values.items(), key=lambda each: ORDER.index(each[0].partition(".")[0]))
    return HEAD.format(" and ".join(migration.shown)) + "".join(_render(nest(dict(ordered)), ""))


def _render(section: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, each in section.items():
        if isinstance(each, Found):
            yield f"{indent}# {to_printable(', '.join(each.origins))}\n"
            yield textwrap.indent(_dump({key: each.value}), indent)
        else:
            yield f"{indent}{key}:\n"
            yield from _render(each, f"{indent}  ")


def _dump(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=UNFOLDED)


def render_report(migration: Migration, terminal: Terminal) -> str:
    """Returns what a person must correct and do, and the values that are not necessary. Empty if there is nothing to report."""
    parts = [
        *_section(
            terminal, Styled("Correct in the values", "red"), [Note(values=(), why=each) for each in migration.problems]
        ),
        *_section(terminal, Styled("To do", "yellow"), migration.actions),
        *_section(terminal, Styled("Not necessary here", "bold"), migration.unnecessary),
    ]
    return "".join(f"{line}\n" for line in parts)


def _section(terminal: Terminal, title: Styled, notes: Any) -> Iterator[str]:
    if notes:
        yield f"{terminal.render(title)}:"
    for note in notes:
        text = f"{', '.join(note.values)}: {note.why}" if note.values else note.why
        first, *others = render_paragraph(terminal, text, first="-", indent=2)
        yield from (f"  {line}" for line in (first, *others))


def to_document(migration: Migration) -> dict[str, Any]:
    return {
        "from": list(migration.shown),
        "values": migration.nested(),
        "moved": [{"from": list(found.origins), "to": path} for path, found in migration.values.items()],
        "problems": list(migration.problems),
        "actions": [{"values": list(each.values), "why": each.why} for each in migration.actions],
        "unnecessary": [{"values": list(each.values), "why": each.why} for each in migration.unnecessary],
    }
