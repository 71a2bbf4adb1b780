"""Short names of GPUs and MIG devices in texts. PURE."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from gpu_core.domain.inventory import Inventory
from simulation.scenarios.scenario import Scenario

_UUID = re.compile(
    r"(?P<named>\b(?:GPU|MIG device) \d+(?::\d+)? \()?\b(?P<short>(?:GPU|MIG)-[0-9a-f]{8})(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"
)
MOST = 4
"""The number of devices that a list names."""


class GpuNames:
    """`GPU 3 (GPU-9ad255bf)` and `MIG device 6:1 (MIG-5d0b3a77)`: the index of the GPU and the slot.

    inventory: the GPUs that could be read at the start. scenario: of simulated GPUs; has also the GPUs and MIG devices that appear later.
    """

    def __init__(self, inventory: Inventory, scenario: Scenario | None) -> None:
        simulated = () if scenario is None else _scenario_names(scenario)
        self._names: Mapping[str, str] = dict([*_inventory_names(inventory), *simulated])

    def shorten(self, text: str) -> str:
        """Replaces all UUIDs in a text. An unknown UUID is only shortened."""
        return _UUID.sub(self._replace, text)

    def list(self, devices: Iterable[str]) -> str:
        """Names devices by the ids that the kubelet has: a UUID, with `::` and a number if the device is shared."""
        names: Sequence[str] = list(dict.fromkeys(self.shorten(each.partition("::")[0]) for each in devices))
        more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
        return ", ".join(names[:MOST]) + more

    def _replace(self, match: re.Match[str]) -> str:
        short = match["short"]
        if match["named"]:
            return f"{match['named']}{short}"
        name = self._names.get(match[0])
        return f"{name} ({short})" if name else short


def _inventory_names(inventory: Inventory) -> Iterator[tuple[str, str]]:
    for gpu in inventory.gpus:
        yield gpu.uuid, _gpu_name(gpu.index)
        yield from ((mig.uuid, _mig_name(gpu.index, mig.slot)) for mig in gpu.mig_devices)


def _scenario_names(scenario: Scenario) -> Iterator[tuple[str, str]]:
    yield from ((gpu.uuid, _gpu_name(gpu.index)) for gpu in scenario.gpus)
    layouts = ((layout.fault.gpu, layout.mig_devices) for layout in scenario.mig_layouts)
    for index, devices in (*((gpu.index, gpu.mig_devices) for gpu in scenario.gpus), *layouts):
        yield from ((mig.uuid, _mig_name(index, mig.slot)) for mig in devices)


def _gpu_name(index: int) -> str:
    return f"GPU {index}"


def _mig_name(index: int | None, slot: int) -> str:
    return f"MIG device {index}:{slot}"
