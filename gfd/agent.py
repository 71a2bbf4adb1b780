"""One look at the GPUs, as labels. What a failing look would have said stays as it is on the Node."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gfd.labelers import LabelOptions, labels
from node_core.assembly import Destination, Edges, choose_publisher
from node_core.domain.inventory import Inventory
from node_core.domain.labels import Collected
from node_core.errors import HostReadError, NvmlError
from node_core.runtime.labelling import LabelAgent
from node_core.runtime.services import Services

NAME = "gfd"
TIMESTAMP = "nvidia.com/gfd.timestamp"
OUTPUT_FILE = Path("/etc/kubernetes/node-feature-discovery/features.d/gfd")
GPU_KEYS = ("nvidia.com/gpu.", "nvidia.com/mig", "nvidia.com/mps.")
"""Labels that describe the GPUs themselves, not the driver or the machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GfdSettings:
    """What gfd takes beside the common settings."""

    mig_strategy: Literal["none", "single", "mixed"] = "none"
    timestamp: bool = True
    machine_type_file: str = "/sys/class/dmi/id/product_name"
    publish: Destination = "node"
    output_file: Path = OUTPUT_FILE


def build_agent(settings: GfdSettings, edges: Edges, services: Services) -> LabelAgent:
    """An agent that is not started yet."""
    return LabelAgent(
        NAME,
        collect=collector(settings, edges, services),
        publisher=choose_publisher(edges, settings.publish, settings.output_file, NAME),
        services=services,
        lock=edges.lock(NAME),
        volatile=frozenset({TIMESTAMP}),
    )


def collector(settings: GfdSettings, edges: Edges, services: Services) -> Callable[[], tuple[Collected, ...]]:
    """The function that looks once. A failure is reported to readiness and leaves all labels to what is known."""

    def collect() -> tuple[Collected, ...]:
        try:
            inventory = edges.inventory.look()
        except NvmlError as error:
            services.readiness.report(f"{NAME}/gpus", str(error))
            return (Collected(name="nvml", labels=None, owns=("nvidia.com/",)),)
        services.readiness.report(f"{NAME}/gpus", None)
        options = LabelOptions(
            mig_strategy=settings.mig_strategy,
            machine=read_machine(settings, edges),
            timestamp=int(services.wall()) if settings.timestamp else None,
        )
        return collect_labels(inventory, options)

    return collect


def collect_labels(inventory: Inventory, options: LabelOptions) -> tuple[Collected, ...]:
    """The labels of one look. Pure.

    While some GPU cannot be read, what was published of the GPUs before stays, its count among it: a failure is no removal.
    """
    found = Collected(name="nvml", labels=labels(inventory, options), owns=("nvidia.com/",))
    if not inventory.faults and not any(gpu.mig_faults for gpu in inventory.gpus):
        return (found,)
    return (found, Collected(name="faulty-gpus", labels=None, owns=GPU_KEYS))


def read_machine(settings: GfdSettings, edges: Edges) -> str:
    """The machine type, or `unknown` where the file is missing, empty or not ours to read."""
    try:
        return edges.root.text(settings.machine_type_file) or "unknown"
    except HostReadError:
        return "unknown"
