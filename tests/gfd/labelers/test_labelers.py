"""All labelers together: labels of incomplete inventories, and the order of GPUs."""

import random
from typing import Any

import pytest

from gfd.labelers import labels
from gpu_core.domain.inventory import Driver, Fabric, Fault, Inventory
from node_core.domain.labels import split_valid
from node_core.values import replace
from tests.gfd.labelers.inventories import A40, DRIVER, OPTIONS, T4, address, gpu, linked, node


def test_without_gpus_there_is_only_the_timestamp() -> None:
    fault = Fault(index=0, uuid=None, reason="nvmlDeviceGetHandleByIndex returned GPU_IS_LOST")
    for inventory in (Inventory(driver=None), node(), node(faults=(fault,))):
        assert labels(inventory, OPTIONS) == {"nvidia.com/gfd.timestamp": "1700000000"}


def test_the_labels_do_not_depend_on_the_order_of_gpus() -> None:
    gpus = [
        *(
            gpu(number, model)
            for number, model in enumerate((T4, A40, "NVIDIA H200", "(?)", "NVIDIA " + "X" * 60, T4, A40))
        ),
        linked(7, 8, numa_node=0),
        linked(8, 7, numa_node=1),
    ]
    options = replace(OPTIONS, pci_classes=dict.fromkeys(map(address, range(9)), "030200"))
    chance = random.Random(7)
    first = labels(node(*gpus), options)
    assert split_valid(first) == (first, ())
    for _ in range(1000):
        chance.shuffle(gpus)
        assert list(labels(node(*gpus), options).items()) == list(first.items())


RICH = gpu(0, numa_node=0, fabric=Fabric(cluster_uuid="c", clique=1))
PEER = gpu(1, numa_node=1, fabric=Fabric(cluster_uuid="c", clique=1))
RUNTIME = {f"cuda.runtime-version.{name}" for name in ("full", "major", "minor")}
RUNTIME |= {f"cuda.runtime.{name}" for name in ("major", "minor")}
VERSION = {f"cuda.driver-version.{name}" for name in ("full", "major", "minor", "revision")}
VERSION |= {f"cuda.driver.{name}" for name in ("major", "minor", "rev")}
COMPUTE = {"gpu.family", "gpu.compute.major", "gpu.compute.minor", "gpu.product.Tesla-T4.family"}


@pytest.mark.parametrize(
    ("fields", "driver", "missing"),
    [
        pytest.param({"memory_bytes": None}, DRIVER, {"gpu.memory", "gpu.product.Tesla-T4.memory"}, id="memory"),
        pytest.param({"compute": None}, DRIVER, COMPUTE, id="compute capability"),
        pytest.param({"numa_node": None}, DRIVER, {"gpu.numa.nodes", "gpu.numa.largest"}, id="NUMA node"),
        pytest.param(
            {"fabric": None}, DRIVER, {"gpu.clique", "gpu.nvlink.largest", "gpu.nvlink.smallest"}, id="fabric"
        ),
        pytest.param({"minor": None}, DRIVER, set(), id="minor number"),
        pytest.param({"address": None}, DRIVER, set(), id="address"),
        pytest.param({}, replace(DRIVER, cuda=None), RUNTIME, id="CUDA version"),
        pytest.param({}, replace(DRIVER, version=""), VERSION, id="driver version"),
        pytest.param({}, None, VERSION | RUNTIME, id="driver"),
    ],
)
def test_a_missing_fact_removes_exactly_its_labels(
    fields: dict[str, Any], driver: Driver | None, missing: set[str]
) -> None:
    options = replace(OPTIONS, pci_classes={address(0): "030200", address(1): "030200"})
    full = Inventory(driver=DRIVER, gpus=(RICH, PEER))
    less = replace(full, driver=driver, gpus=tuple(replace(each, **fields) for each in full.gpus))
    before, after = labels(full, options), labels(less, options)
    assert {key.removeprefix("nvidia.com/") for key in before.keys() - after.keys()} == missing
    assert after.keys() <= before.keys()
