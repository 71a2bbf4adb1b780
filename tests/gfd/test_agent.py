"""What gfd makes of a look that failed in part."""

from dataclasses import replace

from gfd.agent import collect_labels
from gfd.labelers import LabelOptions
from node_core.domain.inventory import Fault, Inventory
from node_core.domain.labels import merge_collected
from node_core.host.nvml.inventory import read_inventory
from node_core.simulate.nvml import numa_of, simulated_nvml
from node_core.simulate.scenario import load_scenario

OPTIONS = LabelOptions(mig_strategy="none", machine="m", timestamp=None)


def look() -> Inventory:
    scenario = load_scenario("h100x8")
    return read_inventory(simulated_nvml(scenario, lambda: 0.0), numa_of(scenario))


def lose_one(inventory: Inventory) -> Inventory:
    return replace(inventory, gpus=inventory.gpus[:-1], faults=(Fault(index=7, uuid=None, reason="GPU_IS_LOST"),))


def test_a_lost_gpu_changes_no_label_of_the_gpus_but_the_driver_is_still_followed() -> None:
    sound = look()
    published = merge_collected(collect_labels(sound, OPTIONS), {})
    assert sound.driver is not None
    upgraded = replace(lose_one(sound), driver=replace(sound.driver, version="570.1.2"))
    after = merge_collected(collect_labels(upgraded, OPTIONS), published)
    assert after["nvidia.com/gpu.count"] == "8"
    assert after["nvidia.com/cuda.driver-version.full"] == "570.1.2"
    assert after.keys() == published.keys()


def test_a_node_that_starts_with_a_lost_gpu_is_labelled_with_those_that_answer() -> None:
    assert merge_collected(collect_labels(lose_one(look()), OPTIONS), {})["nvidia.com/gpu.count"] == "7"


def test_a_gpu_that_is_gone_for_good_is_no_longer_counted() -> None:
    published = merge_collected(collect_labels(look(), OPTIONS), {})
    fewer = replace(look(), gpus=look().gpus[:-1])
    assert merge_collected(collect_labels(fewer, OPTIONS), published)["nvidia.com/gpu.count"] == "7"
