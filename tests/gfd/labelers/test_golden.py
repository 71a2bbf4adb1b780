"""The whole label set of every shipped scenario under every MIG strategy, and of states that no scenario has."""

from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import pytest

from gfd.agent import VGPU_KEYS, collect_labels
from gfd.labelers import LabelOptions, MigStrategy, vgpu
from node_core.domain.inventory import Inventory, PciAddress
from node_core.domain.labels import Collected, merge_collected
from node_core.domain.resources import ResourceName, mig_resource
from node_core.domain.sharing import SharedResource, Sharing, SharingStrategy
from node_core.host.nvml.inventory import read_inventory
from node_core.host.nvml.source import InventorySource
from node_core.host.pci_config import Vgpu, VgpuScan
from node_core.simulate.nvml import numa_of, simulated_nvml
from node_core.simulate.scenario import load_scenario, scenario_names

GPU = ResourceName("nvidia.com/gpu")
OPTIONS = LabelOptions(machine="Example Server (rev 2)", timestamp=1700000000)


def look(name: str) -> Inventory:
    scenario = load_scenario(name)
    nvml = simulated_nvml(scenario, lambda: 0.0)
    source = InventorySource(
        lambda: read_inventory(nvml, numa_of(scenario), wsl=scenario.wsl), gpus_on_pci=lambda: bool(scenario.gpus)
    )
    return source.look()


def classes(name: str) -> dict[PciAddress, str]:
    return {address: gpu.class_code for address, gpu in load_scenario(name).on_pci.items()}


def sharing(strategy: SharingStrategy, *resources: ResourceName, rename: bool = False) -> Sharing:
    return Sharing(
        strategy=strategy,
        resources=tuple(
            SharedResource(resource=name, replicas=4, advertised=ResourceName(f"{name}.shared") if rename else name)
            for name in resources
        ),
        fail_requests_greater_than_one=True,
    )


def text(inventory: Inventory, options: LabelOptions, scan: VgpuScan) -> str:
    vgpus = Collected(name="vgpu", labels=vgpu.labels(scan), owns=VGPU_KEYS)
    found = merge_collected((*collect_labels(inventory, options), vgpus), {})
    return "".join(f"{key}={value}\n" for key, value in found.items())


@pytest.mark.golden
@pytest.mark.parametrize("strategy", get_args(MigStrategy))
@pytest.mark.parametrize("name", scenario_names())
def test_labels_of_a_shipped_scenario(name: str, strategy: MigStrategy, golden: Callable[[str, str], None]) -> None:
    options = replace(OPTIONS, mig_strategy=strategy, pci_classes=classes(name))
    golden(f"gfd/{name}-{strategy}.txt", text(look(name), options, VgpuScan()))


TIME_SLICED = sharing(SharingStrategy.TIME_SLICING, GPU)
MPS = sharing(SharingStrategy.MPS, GPU)
PROFILE = sharing(SharingStrategy.TIME_SLICING, mig_resource("1g.10gb"))


@pytest.mark.golden
@pytest.mark.parametrize(
    ("state", "name", "strategy", "shared"),
    [
        ("time-slicing", "t4x1", "none", TIME_SLICED),
        ("renamed", "t4x1", "none", sharing(SharingStrategy.TIME_SLICING, GPU, rename=True)),
        ("mps", "t4x1", "none", MPS),
        ("time-slicing", "mixed-models", "none", TIME_SLICED),
        ("time-slicing", "a100x4-mig-single", "none", TIME_SLICED),
        ("time-slicing", "a100x4-mig-single", "single", TIME_SLICED),
        ("mps", "a100x4-mig-single", "single", MPS),
        ("time-slicing", "h100x8-mig-mixed", "single", TIME_SLICED),
        ("time-slicing", "h100x8-mig-mixed", "mixed", PROFILE),
    ],
)
def test_labels_of_shared_gpus(
    state: str, name: str, strategy: MigStrategy, shared: Sharing, golden: Callable[[str, str], None]
) -> None:
    options = replace(OPTIONS, mig_strategy=strategy, pci_classes=classes(name), sharing=shared)
    golden(f"gfd/{name}-{strategy}-{state}.txt", text(look(name), options, VgpuScan()))


@pytest.mark.golden
def test_labels_of_a_guest_without_a_driver_and_of_one_with(golden: Callable[[str, str], None]) -> None:
    scan = VgpuScan(vgpus=(Vgpu(address=PciAddress("0000:02:00.0"), version="460.16", branch="r460_00"),))
    golden("gfd/none-none-vgpu.txt", text(look("none"), OPTIONS, scan))
    graphics = dict.fromkeys(classes("t4x1"), "030000")
    golden("gfd/t4x1-none-vgpu.txt", text(look("t4x1"), replace(OPTIONS, pci_classes=graphics), scan))
