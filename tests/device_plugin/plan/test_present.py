"""The devices of an inventory."""

import pytest

from device_plugin.plan.node import plan_devices
from device_plugin.plan.options import MigStrategy, PlanOptions
from gpu_core.domain.inventory import Platform
from gpu_core.domain.node_assessment import Reason
from gpu_core.domain.resources import GPU, mig_resource
from gpu_core.host.mig_caps import MigCaps
from gpu_core.nvml.inventory import read_inventory
from node_core.values import replace
from simulation.nvml.library import numa_of, simulated_nvml
from simulation.scenarios.scenario import parse_scenario
from tests.device_plugin.plan.plans import MIXED, MakeGpu, ids, inventory

CAPS = {"gpu0/gi0/access": 3, "gpu0/gi0/ci0/access": 4, "gpu1/gi1/access": 5, "config": 1}


def test_a_mig_device_has_its_own_uuid_and_paths(gpu: MakeGpu) -> None:
    plan = plan_devices(inventory(gpu(0, ["1g.10gb", "1g.10gb"])), MIXED, caps=MigCaps(minors=CAPS))
    first, second = plan.resources[mig_resource("1g.10gb")].devices
    assert (first.uuid, first.gpu, first.minor, first.index, first.replica) == ("MIG-0-0", "GPU-0", 0, "0:0", None)
    assert (second.gpu_instance, second.compute_instance, second.profile) == (1, 0, "1g.10gb")
    assert first.model == second.model == "NVIDIA H100 80GB HBM3"
    assert first.paths == ("/dev/nvidia0", "/dev/nvidia-caps/nvidia-cap3", "/dev/nvidia-caps/nvidia-cap4")
    assert second.paths == ("/dev/nvidia0",)


@pytest.mark.parametrize("strategy", ["none", "single", "mixed"])
@pytest.mark.parametrize(
    ("platform", "name", "index", "paths"),
    [(Platform.WSL, "all", "all", ("/dev/dxg",)), (Platform.TEGRA, "tegra", "0", ())],
)
def test_platforms_without_uuids_have_one_device(
    gpu: MakeGpu, strategy: MigStrategy, platform: Platform, name: str, index: str, paths: tuple[str, ...]
) -> None:
    several = replace(inventory(gpu(0), gpu(1)), platform=platform)
    (device,) = plan_devices(several, PlanOptions(mig_strategy=strategy)).resources[GPU].devices
    assert (device.id, device.uuid, device.index, device.paths) == (name, name, index, paths)


def test_a_jetson_in_mig_mode_is_never_advertised_whole() -> None:
    document = {
        "driver": {"version": "580.00"},
        "gpus": [{"model": "NVIDIA Thor", "count": 1, "compute": "11.0", "device_id": "2b00", "class": "0300", "pci": ["0000:01:00.0"],
                  "mig": {"mode": "enabled", "instances": ["2g.0gb+gfx", "1g.0gb+me"]}}],
    }  # fmt: skip
    scenario = parse_scenario("thor", document, source="test")
    thor = read_inventory(simulated_nvml(scenario, lambda: 0.0), numa_of(scenario))
    assert thor.platform is Platform.TEGRA
    plans = {
        strategy: plan_devices(thor, PlanOptions(mig_strategy=strategy)) for strategy in ("none", "single", "mixed")
    }
    assert {strategy: ids(plan).keys() for strategy, plan in plans.items()} == {
        "none": set(),
        "single": set(),
        "mixed": {"nvidia.com/mig-2g.0gb.gfx", "nvidia.com/mig-1g.0gb.me"},
    }
    assert [each.reason for each in plans["none"].reserved] == [Reason.MIG_NOT_ADVERTISED] * 2
