"""The table of `make faults`. PURE."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

PREFIXES = ("nvidia.com/", "feature.node.kubernetes.io/")
HEAD = ("fault", "times", "lost labels", "lost allocations", "other figures", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A fault. count: how often the fault occurred. labels, allocations: lost. figures: name -> number. problems: other failed checks."""

    fault: str
    count: int
    labels: int = 0
    allocations: int = 0
    figures: Mapping[str, int] = field(default_factory=dict)
    problems: Sequence[str] = ()

    @property
    def is_passed(self) -> bool:
        return self.count > 0 and not (self.labels or self.allocations or self.problems)


def own_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Returns the labels that the agents publish."""
    return {name: value for name, value in labels.items() if name.startswith(PREFIXES)}


def find_removed(before: Mapping[str, str], after: Mapping[str, str], expected: Collection[str]) -> list[str]:
    """Returns the names of the expected labels that a write of an agent has removed."""
    return sorted(name for name in expected if name in before and name not in after)


def find_missing(labels: Mapping[str, str], expected: Mapping[str, str]) -> list[str]:
    """Returns the names of the expected labels that a Node does not have, or has with another value."""
    return sorted(name for name, value in expected.items() if labels.get(name) != value)


def find_lost(
    held: Mapping[str, Sequence[str]], health: Mapping[str, bool], failed: Collection[str] = ()
) -> list[tuple[str, str]]:
    """Returns the pods and devices that the kubelet has as allocated, and that the plugin does not advertise as healthy.

    held: pod -> device ids. health: device id -> healthy. failed: devices with a hardware fault, which must be unhealthy.
    """
    return [
        (pod, device)
        for pod, devices in held.items()
        for device in devices
        if device not in failed and not health.get(device)
    ]


def count_xids(metrics: str, number: int) -> int:
    """Returns the Xids with this number of all GPUs, from the metrics of an agent as text."""
    return sum(
        round(float(line.rpartition(" ")[2]))
        for line in metrics.splitlines()
        if line.startswith("gpunode_xids_total{") and f'xid="{number}"' in line and 'agent="gpu-device-plugin"' in line
    )


def table_rows(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    return [
        (
            row.fault,
            str(row.count),
            str(row.labels),
            str(row.allocations),
            ", ".join(f"{number} {name}" for name, number in row.figures.items()),
            "pass" if row.is_passed else "fail",
        )
        for row in rows
    ]


def render_text(rows: Sequence[Row]) -> str:
    """Returns the table with aligned columns, and the problems."""
    lines = [HEAD, *table_rows(rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*table, *(f"{row.fault}: {problem}" for row in rows for problem in row.problems)]) + "\n"


def to_json(rows: Sequence[Row]) -> dict[str, list[dict[str, Any]]]:
    return {"rows": [asdict(row) for row in rows]}


def load_rows(rows: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Returns the rows of the content of faults.json."""
    return [Row(**row) for row in rows]
