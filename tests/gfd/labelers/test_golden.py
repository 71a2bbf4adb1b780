"""All labels of every scenario with every MIG strategy, and of states that no scenario has."""

from collections.abc import Callable
from typing import get_args

import pytest

from gfd.agent import VGPU_KEYS, collect_labels
from gfd.labelers import LabelOptions, MigStrategy, vgpu
from gpu_core.domain.inventory import Inventory
from gpu_core.domain.resources import ResourceName, mig_resource
from gpu_core.domain.sharing import SharedResource, Sharing, SharingStrategy
from gpu_core.host.pci_config import Vgpu, VgpuScan
from gpu_core.nvml.inventory import read_inventory
from gpu_core.nvml.source import InventorySource
from node_core.domain.desired import CollectorResult, merge_labels
from node_core.domain.pci import PciAddress
from node_core.values import replace
from simulation.nvml.library import numa_of, simulated_nvml
from simulation.scenarios.scenario import load_scenario, scenario_names

GPU = ResourceName("nvidia.com/gpu")
OPTIONS = LabelOptions(machine="Example Server (rev 2)", timestamp=1700000000)


def discover(name: str) -> Inventory:
    scenario = load_scenario(name)
    nvml = simulated_nvml(scenario, lambda: 0.0)
    source = InventorySource(
        lambda: read_inventory(nvml, numa_of(scenario), wsl=scenario.wsl), has_gpus=lambda: bool(scenario.gpus)
    )
    return source.discover()


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
    vgpus = CollectorResult(name="vgpu", labels=vgpu.labels(scan), owns=VGPU_KEYS)
    found = merge_labels((*collect_labels(inventory, options), vgpus), {})
    return "".join(f"{key}={value}\n" for key, value in found.items())


@pytest.mark.golden
@pytest.mark.parametrize("strategy", get_args(MigStrategy))
@pytest.mark.parametrize("name", scenario_names())
def test_the_labels_of_a_scenario(name: str, strategy: MigStrategy, golden: Callable[[str, str], None]) -> None:
    options = replace(OPTIONS, mig_strategy=strategy, pci_classes=classes(name))
    golden(f"gfd/{name}-{strategy}.txt", text(discover(name), options, VgpuScan()))


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
    golden(f"gfd/{name}-{strategy}-{state}.txt", text(discover(name), options, VgpuScan()))


@pytest.mark.golden
def test_the_labels_of_guests_with_and_without_a_driver(golden: Callable[[str, str], None]) -> None:
    scan = VgpuScan(vgpus=(Vgpu(address=PciAddress("0000:02:00.0"), version="460.16", branch="r460_00"),))
    golden("gfd/none-none-vgpu.txt", text(discover("none"), OPTIONS, scan))
    graphics = dict.fromkeys(classes("t4x1"), "030000")
    golden("gfd/t4x1-none-vgpu.txt", text(discover("t4x1"), replace(OPTIONS, pci_classes=graphics), scan))
