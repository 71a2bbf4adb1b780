"""Which GPU gets which layout."""

from collections.abc import Mapping

import pytest

from gpu_core.domain.inventory import GpuUuid
from gpu_core.mig.config import ConfigEntry
from gpu_core.mig.planner import DesiredGpu
from gpu_core.mig.select import select_layouts
from node_core.errors import MigError
from tests.gpu_core.mig.boards import H100, mig_gpu

A30 = "NVIDIA A30"
GPUS = [mig_gpu(H100), mig_gpu(A30, index=2)]
OFF, ON = ConfigEntry(is_enabled=False), ConfigEntry(is_enabled=True)


def select(*entries: ConfigEntry) -> Mapping[GpuUuid, DesiredGpu]:
    return select_layouts({"x": entries}, "x", GPUS)


def refusal(*entries: ConfigEntry) -> str:
    with pytest.raises(MigError) as error:
        select(*entries)
    return str(error.value)


def test_an_entry_for_all_gpus_selects_all() -> None:
    entry = ConfigEntry(is_enabled=True, mig_devices={"1g.6gb": 1})
    assert select(entry) == dict.fromkeys(("GPU-0", "GPU-2"), DesiredGpu(is_enabled=True, devices={"1g.6gb": 1}))


@pytest.mark.parametrize("text", ["0x20B710DE", "0x20B710DE:0x16C110DE"])
def test_a_filter_selects_gpus_of_a_model_and_leaves_others(text: str) -> None:
    assert select(ConfigEntry(device_filter=(text,), is_enabled=False)) == {"GPU-2": DesiredGpu(is_enabled=False)}


def test_indexes_are_those_of_nvml() -> None:
    assert select(ConfigEntry(devices=(2,), is_enabled=False)) == {"GPU-2": DesiredGpu(is_enabled=False)}


def test_two_entries_may_give_a_gpu_the_same_layout_but_not_two_layouts() -> None:
    assert set(select(OFF, OFF)) == {"GPU-0", "GPU-2"}
    assert refusal(OFF, ON) == "the MIG config x has two different layouts for GPU 0 (GPU-0)"


def test_an_unknown_name_is_an_error_with_a_similar_name() -> None:
    with pytest.raises(MigError) as error:
        select_layouts({"all-1g.10gb": (OFF,), "all-disabled": (OFF,)}, "all-1g.12gb", GPUS)
    assert error.value.message == "the MIG config 'all-1g.12gb' does not exist (did you mean all-1g.10gb?)"
    assert error.value.hint == "The configs are: all-1g.10gb, all-disabled"


def test_a_gpu_that_does_not_exist_is_an_error_with_the_gpus() -> None:
    assert refusal(ConfigEntry(devices=(0, 1, 7), is_enabled=False)) == (
        "the MIG config x[0] selects GPU 1, 7, which does not exist or does not support MIG (The GPUs with MIG are: 0, 2)"
    )


def test_indexes_of_an_entry_for_other_nodes_are_ignored() -> None:
    other = ConfigEntry(device_filter=("0x20B010DE",), devices=(0, 1, 2, 3), is_enabled=False)
    assert select(other, ConfigEntry(devices=(0,), is_enabled=True)) == {"GPU-0": DesiredGpu(is_enabled=True)}


def test_a_config_for_other_gpus_is_an_error_with_the_ids_of_these() -> None:
    assert refusal(ConfigEntry(device_filter=("0x20B010DE",), is_enabled=False)) == (
        "no device-filter of the MIG config x matches a GPU of this node"
        " (NVIDIA A30 is 0x20B710DE, NVIDIA H100 80GB HBM3 is 0x233010DE)"
    )


def test_a_node_without_gpus_needs_no_change() -> None:
    assert select_layouts({"x": (OFF,)}, "x", []) == {}
