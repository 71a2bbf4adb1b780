"""Short names of GPUs and MIG devices."""

import pytest

from gpu_core.domain.inventory import Inventory
from gpu_core.nvml.inventory import read_inventory
from gpunode.demo.gpu_names import GpuNames
from simulation.nvml.library import numa_of, simulated_nvml
from simulation.scenarios.scenario import load_scenario, parse_fault

SCENARIO = load_scenario("h100x8-mig-mixed")
GPU, MIG = SCENARIO.gpus[3].uuid, SCENARIO.gpus[6].mig_devices[1].uuid
STRANGER = "GPU-00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
def names() -> GpuNames:
    return GpuNames(read_inventory(simulated_nvml(SCENARIO, lambda: 0.0), numa_of(SCENARIO)), None)


def test_uuids_in_a_text_become_the_index_and_a_short_uuid(names: GpuNames) -> None:
    assert names.shorten(f"{GPU} is lost.") == f"GPU 3 ({GPU[:12]}) is lost."
    assert names.shorten(f"{MIG}: Xid 94") == f"MIG device 6:1 ({MIG[:12]}): Xid 94"
    assert names.shorten(STRANGER) == "GPU-00000000"


def test_simulated_gpus_and_mig_devices_that_appear_later_have_names() -> None:
    cut = parse_fault(SCENARIO, {"kind": "mig", "gpu": 7, "instances": ["1g.10gb"]}, number=1)
    later = cut.mig_layouts[0].mig_devices[0].uuid
    names = GpuNames(Inventory(driver=None), SCENARIO.with_faults_of(cut))
    assert (
        names.list([GPU, MIG, later])
        == f"GPU 3 ({GPU[:12]}), MIG device 6:1 ({MIG[:12]}), MIG device 7:0 ({later[:12]})"
    )


def test_a_text_that_contains_the_index_does_not_get_it_twice(names: GpuNames) -> None:
    assert names.shorten(f"GPU 3 ({GPU}): lost") == f"GPU 3 ({GPU[:12]}): lost"


def test_a_list_names_each_device_once_and_at_most_four(names: GpuNames) -> None:
    assert names.list([f"{GPU}::0", f"{GPU}::1"]) == f"GPU 3 ({GPU[:12]})"
    assert names.list([gpu.uuid for gpu in SCENARIO.gpus]).endswith(f"GPU 3 ({GPU[:12]}) and 4 more")
    assert names.list([]) == ""
