"""The whole label set of every shipped scenario under every MIG strategy."""

from collections.abc import Callable
from typing import get_args

import pytest

from gfd.labelers import LabelOptions, MigStrategy, labels
from node_core.domain.inventory import Inventory
from node_core.host.nvml.inventory import read_inventory
from node_core.host.nvml.source import InventorySource
from node_core.simulate.nvml import numa_of, simulated_nvml
from node_core.simulate.scenario import load_scenario, scenario_names


def look(name: str) -> Inventory:
    scenario = load_scenario(name)
    nvml = simulated_nvml(scenario, lambda: 0.0)
    source = InventorySource(lambda: read_inventory(nvml, numa_of(scenario)), gpus_on_pci=lambda: bool(scenario.gpus))
    return source.look()


@pytest.mark.golden
@pytest.mark.parametrize("strategy", get_args(MigStrategy))
@pytest.mark.parametrize("name", scenario_names())
def test_labels_of_a_shipped_scenario(name: str, strategy: MigStrategy, golden: Callable[[str, str], None]) -> None:
    options = LabelOptions(mig_strategy=strategy, machine="Example Server (rev 2)", timestamp=1700000000)
    found = labels(look(name), options)
    golden(f"gfd/{name}-{strategy}.txt", "".join(f"{key}={value}\n" for key, value in found.items()))
