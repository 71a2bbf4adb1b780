"""The charts whose values `gpunode migrate` reads, and the messages of the chart gpunode about these values."""

from collections.abc import Iterator
from enum import StrEnum

from gpunode.migrate import device_plugin, gpu_operator, node_feature_discovery
from gpunode.migrate.correspondence import ALL_AGENTS, GPU_AGENTS, Correspondence, Message, moved


class Chart(StrEnum):
    """The names of the charts in their repositories."""

    DEVICE_PLUGIN = "nvidia-device-plugin"
    GPU_OPERATOR = "gpu-operator"
    NFD = "node-feature-discovery"

    @property
    def shown(self) -> str:
        return SHOWN[self]

    @property
    def rows(self) -> tuple[Correspondence, ...]:
        return ROWS[self]


SHOWN = {
    Chart.DEVICE_PLUGIN: "NVIDIA's device plugin",
    Chart.GPU_OPERATOR: "the GPU Operator",
    Chart.NFD: "Node Feature Discovery",
}
ROWS = {
    Chart.DEVICE_PLUGIN: device_plugin.ROWS,
    Chart.GPU_OPERATOR: gpu_operator.ROWS,
    Chart.NFD: node_feature_discovery.ROWS,
}
_SIMILAR: tuple[Correspondence, ...] = tuple(
    moved(f"{section}.{name}", name, dict, GPU_AGENTS if name == "affinity" else ALL_AGENTS)
    for section in ("nfd", "gfd", "devicePlugin")
    for name in ("podAnnotations", "podLabels", "tolerations", "updateStrategy", "affinity")
    if (section, name) != ("nfd", "affinity")
)
"""Values that no chart has, and that the values of other charts suggest."""


def messages() -> dict[str, tuple[Message, str]]:
    """Returns the message of the chart gpunode for each value of another chart, by the path of the value."""
    rows = (*_SIMILAR, *(row for chart in Chart for row in chart.rows))
    return {row.path: (row.message, " ".join(_sentences(row))) for row in rows if row.message is not None}


def _sentences(row: Correspondence) -> Iterator[str]:
    if row.to is not None:
        yield f"Set `{row.to}`."
    if row.why:
        yield row.why
    if row.to is None and not row.needs_action and row.message is Message.REFUSED:
        yield "Remove the value."
