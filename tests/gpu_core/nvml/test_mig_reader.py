"""Reading the layouts and profiles of all GPUs of simulated nodes, also with failing calls."""

import pytest

from gpu_core.mig.model import ComputeInstance, GpuInstance, MigGpu, Placement
from gpu_core.nvml.inventory import read_inventory
from gpu_core.nvml.mig_api import MIG_FUNCTIONS
from gpu_core.nvml.mig_reader import read_mig_gpus
from simulation.nvml.library import numa_of, simulated_nvml
from simulation.scenarios.mig_profiles import BOARDS
from simulation.scenarios.scenario import Scenario, load_scenario, parse_scenario, scenario_names

MIXED = load_scenario("h100x8-mig-mixed")
WHOLE, DIVIDED = 0, 7


def read(scenario: Scenario) -> tuple[tuple[MigGpu, ...], dict[int, str]]:
    with simulated_nvml(scenario, lambda: 0.0)() as nvml:
        gpus, faults = read_mig_gpus(nvml)
    return gpus, {fault.index: fault.reason for fault in faults}


def broken(call: str, code: str, gpu: int = DIVIDED) -> Scenario:
    fault = {"at": 0, "kind": "fails", "call": call, "result": code, "gpu": gpu}
    file = {"driver": {"version": "550.54.15"}, "gpus": [H100, DIVIDED_H100], "faults": [fault]}
    return parse_scenario("broken", file, source="test")


H100 = {
    "model": "NVIDIA H100 80GB HBM3",
    "count": 1,
    "memory": "81559Mi",
    "device_id": "2330",
    "subsystem_id": "16c1",
    "mig": {"mode": "disabled"},
}
DIVIDED_H100 = {**H100, "mig": {"mode": "enabled", "instances": ["3g.40gb", "1c.2g.20gb"]}}


def test_a_gpu_has_its_identity_its_modes_and_its_layout() -> None:
    gpus, faults = read(MIXED)
    assert (len(gpus), faults) == (8, {})
    whole, divided = gpus[WHOLE], gpus[DIVIDED]
    assert (whole.index, whole.model, whole.address) == (0, "NVIDIA H100 80GB HBM3", "0000:1b:00.0")
    assert (whole.pci_id, whole.pci_subsystem) == ("0x233010DE", "0x16C110DE")
    assert (whole.is_enabled, whole.is_pending, whole.instances) == (False, False, ())
    assert whole.total_memory == 81559 << 20
    assert (divided.is_enabled, divided.is_pending) == (True, True)
    uuids = [device.uuid for device in MIXED.gpus[DIVIDED].mig_devices]
    assert divided.instances == (
        GpuInstance(id=1, profile=2, placement=Placement(start=4, size=4), compute=(_compute(2, uuids[0]),)),
        GpuInstance(id=3, profile=1, placement=Placement(start=0, size=2), compute=(_compute(1, uuids[1]),)),
        GpuInstance(id=7, profile=7, placement=Placement(start=2, size=1), compute=(_compute(0, uuids[2]),)),
        GpuInstance(id=8, profile=0, placement=Placement(start=3, size=1), compute=(_compute(0, uuids[3]),)),
    )


def _compute(profile: int, uuid: str) -> ComputeInstance:
    return ComputeInstance(id=0, profile=profile, uuid=uuid)  # type: ignore[arg-type]


@pytest.mark.parametrize("model", BOARDS)
def test_each_board_has_all_its_profiles_by_their_names(model: str) -> None:
    board = BOARDS[model]
    group = {"model": model, "count": 1, "device_id": "2330", "mig": {"mode": "disabled"}}
    memory = {"memory": f"{board.memory_mib}Mi"} if board.memory_mib else {}
    file = {"driver": {"version": "570.1"}, "gpus": [{**group, **memory}]}
    ((gpu,), faults) = read(parse_scenario("one", file, source="test"))
    assert faults == {}
    assert {profile.name for profile in gpu.profiles} == set(board.profiles)
    assert [profile.slices for profile in gpu.profiles] == sorted(profile.slices for profile in gpu.profiles)
    for profile in gpu.profiles:
        assert profile.placements
        assert profile.compute[-1].name == profile.name


@pytest.mark.parametrize("name", scenario_names())
def test_the_mig_devices_of_a_layout_are_those_of_the_inventory(name: str) -> None:
    scenario = load_scenario(name)
    if scenario.driver is None:
        return
    gpus, faults = read(scenario)
    assert faults == {}
    inventory = read_inventory(simulated_nvml(scenario, lambda: 0.0), numa_of(scenario))
    assert [gpu.uuid for gpu in gpus] == [gpu.uuid for gpu in inventory.gpus if gpu.mig_capable]
    for gpu, other in zip(gpus, (gpu for gpu in inventory.gpus if gpu.mig_capable), strict=True):
        found = {each.uuid for instance in gpu.instances for each in instance.compute}
        assert found == {device.uuid for device in other.mig_devices}


def test_a_gpu_off_the_pci_bus_has_neither_address_nor_pci_ids() -> None:
    gpu = {"model": "NVIDIA Thor", "count": 1, "pci": "none", "mig": {"mode": "disabled"}}
    ((found,), _) = read(parse_scenario("one", {"driver": {"version": "570.1"}, "gpus": [gpu]}, source="test"))
    assert (found.address, found.pci_id, found.pci_subsystem) == (None, None, None)
    assert found.total_memory == 0


def test_a_gpu_of_a_driver_that_lists_no_profiles_has_none() -> None:
    file = {"driver": {"version": "535.1"}, "gpus": [H100]}
    ((found,), faults) = read(parse_scenario("old", file, source="test"))
    assert (found.profiles, faults) == ((), {})


READ = sorted({*MIG_FUNCTIONS.values(), "nvmlDeviceGetUUID", "nvmlDeviceGetName", "nvmlDeviceGetMemoryInfo"})
CHANGE = {
    "nvmlDeviceSetMigMode",
    "nvmlDeviceCreateGpuInstanceWithPlacement",
    "nvmlGpuInstanceDestroy",
    "nvmlGpuInstanceCreateComputeInstance",
    "nvmlComputeInstanceDestroy",
}


@pytest.mark.parametrize("code", ["UNKNOWN", "GPU_IS_LOST", "NO_PERMISSION"])
@pytest.mark.parametrize("call", [call for call in READ if call not in CHANGE])
def test_a_call_that_fails_makes_only_its_gpu_a_fault(call: str, code: str) -> None:
    gpus, faults = read(broken(call, code, gpu=1))
    assert [gpu.index for gpu in gpus] == [0]
    assert faults == {1: f"{call} returned {code}"}


def test_a_gpu_instance_with_an_unknown_profile_is_not_read_as_an_empty_gpu() -> None:
    gpus, faults = read(broken("nvmlDeviceGetGpuInstanceProfileInfo", "NOT_SUPPORTED", gpu=1))
    assert [gpu.index for gpu in gpus] == [0]
    assert "NOT_FOUND" in faults[1]
    assert "GPU instance" in faults[1]
