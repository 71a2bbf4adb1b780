"""Labels of GPUs: every rule on inventories written out by hand."""

from dataclasses import replace
from typing import Any

import pytest

from gfd.labelers import LabelOptions, labels
from node_core.domain.inventory import (
    ComputeCapability,
    CudaVersion,
    Driver,
    Fabric,
    Fault,
    Gpu,
    GpuUuid,
    Inventory,
    PciAddress,
)

T4 = "Tesla T4"
A40 = "NVIDIA A40"
OPTIONS = LabelOptions(machine="DGX H100", timestamp=1700000000)
DRIVER = Driver(version="550.54.15", cuda=CudaVersion(major=12, minor=4))


def gpu(index: int, model: str = T4, **facts: Any) -> Gpu:
    return replace(
        Gpu(
            index=index,
            uuid=GpuUuid(f"GPU-{index}"),
            minor=index,
            model=model,
            memory_bytes=15360 << 20,
            compute=ComputeCapability(major=7, minor=5),
            address=PciAddress(f"0000:{index:02x}:00.0"),
        ),
        **facts,
    )


def node(*gpus: Gpu, driver: Driver = DRIVER, faults: tuple[Fault, ...] = ()) -> Inventory:
    return Inventory(driver=driver, gpus=gpus, faults=faults)


def of(inventory: Inventory, prefix: str, options: LabelOptions = OPTIONS) -> dict[str, str]:
    """The labels below a prefix, by what follows it."""
    start = f"nvidia.com/{prefix}"
    return {
        key.removeprefix(start): value for key, value in labels(inventory, options).items() if key.startswith(start)
    }


def test_without_gpus_there_is_only_the_timestamp() -> None:
    fault = Fault(index=0, uuid=None, reason="nvmlDeviceGetHandleByIndex answered GPU_IS_LOST")
    for inventory in (Inventory(driver=None), node(), node(faults=(fault,))):
        assert labels(inventory, OPTIONS) == {"nvidia.com/gfd.timestamp": "1700000000"}


def test_the_timestamp_can_be_left_out() -> None:
    assert "nvidia.com/gfd.timestamp" not in labels(node(gpu(0)), replace(OPTIONS, timestamp=None))


@pytest.mark.parametrize(
    ("machine", "value"),
    [("DGX H100", "DGX-H100"), ("  PowerEdge (R760xa)\n", "PowerEdge-R760xa"), ("", "unknown"), ("(?)", "unknown")],
)
def test_the_machine_is_sanitised(machine: str, value: str) -> None:
    assert of(node(gpu(0)), "gpu.machine", replace(OPTIONS, machine=machine)) == {"": value}


@pytest.mark.parametrize(
    ("version", "new", "old"),
    [
        (
            "550.54.15",
            {"major": "550", "minor": "54", "revision": "15", "full": "550.54.15"},
            {"major": "550", "minor": "54", "rev": "15"},
        ),
        (
            "550.54",
            {"major": "550", "minor": "54", "revision": "", "full": "550.54"},
            {"major": "550", "minor": "54", "rev": ""},
        ),
        ("550", {"major": "550", "full": "550"}, {"major": "550"}),
        (
            "550.54.15.01",
            {"major": "550", "minor": "54", "revision": "15", "full": "550.54.15.01"},
            {"major": "550", "minor": "54", "rev": "15"},
        ),
        ("", {}, {}),
        ("R550 (beta)", {"major": "R550-beta", "full": "R550-beta"}, {"major": "R550-beta"}),
    ],
)
def test_a_driver_version_is_split_and_its_older_names_follow(
    version: str, new: dict[str, str], old: dict[str, str]
) -> None:
    inventory = node(gpu(0), driver=Driver(version=version, cuda=None))
    assert of(inventory, "cuda.driver-version.") == new
    assert of(inventory, "cuda.driver.") == old


def test_the_cuda_version_is_absent_when_nvml_does_not_say() -> None:
    assert of(node(gpu(0)), "cuda.runtime-version.") == {"major": "12", "minor": "4", "full": "12.4"}
    assert of(node(gpu(0)), "cuda.runtime.") == {"major": "12", "minor": "4"}
    assert of(node(gpu(0), driver=replace(DRIVER, cuda=None)), "cuda.runtime") == {}


def test_equal_gpus_are_counted() -> None:
    assert of(node(gpu(0), gpu(1)), "gpu.") == {
        "machine": "DGX-H100",
        "product": "Tesla-T4",
        "count": "2",
        "replicas": "1",
        "sharing-strategy": "none",
        "memory": "15360",
        "family": "turing",
        "compute.major": "7",
        "compute.minor": "5",
        "product.Tesla-T4.count": "2",
        "product.Tesla-T4.memory": "15360",
        "product.Tesla-T4.family": "turing",
    }


def test_memory_is_in_whole_mib_and_absent_where_the_board_has_none() -> None:
    assert of(node(gpu(0, memory_bytes=(15360 << 20) + 1048575)), "gpu.memory") == {"": "15360"}
    assert of(node(gpu(0, memory_bytes=None)), "gpu.memory") == {}


@pytest.mark.parametrize("compute", [None, ComputeCapability(major=0, minor=0)])
def test_an_unknown_compute_capability_has_no_labels(compute: ComputeCapability | None) -> None:
    found = of(node(gpu(0, compute=compute)), "gpu.")
    assert not {"family", "compute.major", "compute.minor"} & found.keys()


def test_the_model_with_most_gpus_is_described_and_counted() -> None:
    ampere = ComputeCapability(major=8, minor=6)
    inventory = node(gpu(0, A40, compute=ampere), gpu(1), gpu(2), gpu(3, A40, compute=ampere), gpu(4))
    found = of(inventory, "gpu.")
    assert (found["product"], found["count"], found["family"]) == ("Tesla-T4", "3", "turing")


def test_of_models_with_equally_many_gpus_the_first_by_name_is_described() -> None:
    for inventory in (node(gpu(0), gpu(1, A40)), node(gpu(0, A40), gpu(1))):
        assert of(inventory, "gpu.")["product"] == "NVIDIA-A40"


def test_a_gpu_that_cannot_be_read_is_not_counted() -> None:
    fault = Fault(index=1, uuid=None, reason="nvmlDeviceGetHandleByIndex answered GPU_IS_LOST")
    assert of(node(gpu(0), faults=(fault,)), "gpu.count") == {"": "1"}


def test_one_gpu_with_mig_makes_the_node_mig_capable_and_none_makes_it_mps_capable() -> None:
    assert of(node(gpu(0), gpu(1)), "mig.capable") == {"": "false"}
    assert of(node(gpu(0), gpu(1, mig_capable=True)), "mig.capable") == {"": "true"}
    assert of(node(gpu(0)), "mps.capable") == {"": "false"}


def test_the_clique_is_that_of_all_attached_gpus_or_of_none() -> None:
    one = Fabric(cluster_uuid="4f1a6d7e-93b2-4c58-8e0d-2ba71c9f5d63", clique=7)
    assert of(node(gpu(0, fabric=one), gpu(1)), "gpu.clique") == {"": f"{one.cluster_uuid}.7"}
    assert of(node(gpu(0, fabric=one), gpu(1, fabric=replace(one, clique=8))), "gpu.clique") == {}
    assert of(node(gpu(0)), "gpu.clique") == {}
