"""The simulated node of `--simulate`. Replaces the driver, the PCI bus and the GPU inventory of the host."""

import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from gpu_core.mig.model import MigGpu
from gpu_core.nvml.api import OpenNvml
from gpu_core.nvml.inventory import read_inventory
from gpu_core.nvml.source import InventorySource
from node_core.domain.pci import PciAddress
from node_core.errors import MigError
from simulation.nvml.library import changing_nvml, numa_of
from simulation.nvml.mig_rules import reset
from simulation.nvml.mig_states import MigStates, SharedMigStates
from simulation.scenarios.scenario import Scenario, load_scenario, pci_attributes


class SimulatedNode:
    """The GPUs of a scenario. The clock of its faults starts at the first use of NVML."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario

    @cached_property
    def open_nvml(self) -> OpenNvml:
        return changing_nvml(lambda: self.scenario, self._seconds, mig_states=self._mig_states)

    @cached_property
    def _mig_states(self) -> MigStates:
        path = self.scenario.file.mig_state
        return MigStates() if path is None else SharedMigStates(Path(path))

    def reset_gpus(self, gpus: Sequence[MigGpu]) -> None:
        """Simulates `nvidia-smi --gpu-reset`: the pending MIG modes become active, and all instances of the GPUs are lost.

        Raises MigError if a process uses a GPU or has NVML open, and NvmlError if the state of the node cannot be written.
        """
        states, uuids = self._mig_states, {gpu.uuid for gpu in gpus}
        found = [self.scenario.gpu_at(gpu.index, self._seconds()) for gpu in self.scenario.gpus if gpu.uuid in uuids]
        if states.has_sessions() or any(gpu.use.processes for gpu in found):
            raise MigError("cannot reset the simulated GPUs, because they are in use")
        with states.lock():
            for gpu in found:
                mig = states.apply(gpu).mig
                if mig is not None and reset(mig) != mig:
                    states.write(gpu, reset(mig))

    def replace_faults(self, scenario: Scenario) -> None:
        """Replaces the faults by those of a scenario with the same GPUs. The times of the faults count from now."""
        self.scenario = scenario.delayed(self._seconds())

    def add_faults(self, scenario: Scenario) -> None:
        """Adds the faults of a scenario with the same GPUs. The times of the faults count from now."""
        self.scenario = self.scenario.with_faults_of(scenario.delayed(self._seconds()))

    def inventory_source(self) -> InventorySource:
        numa_node = numa_of(self.scenario)
        return InventorySource(
            lambda: read_inventory(self.open_nvml, numa_node, wsl=self.scenario.wsl, simulated=True),
            has_gpus=lambda: self.has_gpus,
        )

    def _seconds(self) -> float:
        start = self._start
        return time.monotonic() - start

    @cached_property
    def _start(self) -> float:
        return time.monotonic()

    @property
    def has_gpus(self) -> bool:
        return bool(self.scenario.gpus)

    @property
    def has_gpus_off_pci(self) -> bool:
        """Whether a GPU with a driver is not on a PCI bus."""
        return self.scenario.driver is not None and len(self.scenario.on_pci) < len(self.scenario.gpus)

    @property
    def pci_attributes(self) -> tuple[Mapping[str, str], ...]:
        """The PCI functions of the GPUs as instances of NFD's feature `pci.device`."""
        return pci_attributes(self.scenario)

    @property
    def pci_classes(self) -> Mapping[PciAddress, str]:
        """The class code (four hex digits) of each GPU on the PCI bus."""
        return {address: gpu.class_code for address, gpu in self.scenario.on_pci.items()}


def load_simulated_node(name_or_path: str) -> SimulatedNode:
    """Loads an included scenario or a YAML file. Raises SettingsError with all problems."""
    return SimulatedNode(load_scenario(name_or_path))
