"""The simulated driver changes MIG modes and layouts by the rules of NVML."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gpu_core.mig.model import Placement
from gpu_core.nvml.api import EventType, Handle, Nvml
from gpu_core.nvml.mig_api import IN_USE, INSUFFICIENT_RESOURCES
from node_core.errors import NvmlError
from simulation.nvml.library import changing_nvml, simulated_nvml
from simulation.scenarios.scenario import Scenario, parse_scenario

HOPPER = {"model": "NVIDIA H100 80GB HBM3", "memory": "81559Mi", "compute": "9.0", "device_id": "2330"}
AMPERE = {"model": "NVIDIA A100-SXM4-40GB", "memory": "40960Mi", "compute": "8.0", "device_id": "20b0"}
ON, OFF = {"mode": "enabled"}, {"mode": "disabled"}
ONE, ONE_ME, TWO, THREE, FOUR, SEVEN = 0, 7, 1, 2, 3, 4
"""NVML_GPU_INSTANCE_PROFILE_*, and without the second one NVML_COMPUTE_INSTANCE_PROFILE_*."""


def scenario(*gpus: dict[str, Any], faults: tuple[dict[str, Any], ...] = (), version: str = "550.54.15") -> Scenario:
    groups = [{"count": 1, **gpu} for gpu in gpus]
    return parse_scenario("mig", {"driver": {"version": version}, "gpus": groups, "faults": list(faults)}, source="t")


@contextmanager
def opened(*gpus: dict[str, Any], **more: Any) -> Iterator[tuple[Nvml, Handle]]:
    """A session, and the handle of the first GPU."""
    with simulated_nvml(scenario(*gpus, **more), lambda: 0.0)() as nvml:
        yield nvml, nvml.device_get_handle_by_index(0)


def code_of(call: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(NvmlError) as raised:
        call(*arguments)
    return raised.value.code


def create(nvml: Nvml, gpu: Handle, number: int, start: int, size: int) -> Any:
    profile = nvml.device_get_gpu_instance_profile_info(gpu, number)
    return nvml.device_create_gpu_instance(gpu, profile.id, Placement(start=start, size=size))


def divide(nvml: Nvml, instance: Any, number: int) -> Any:
    profile = nvml.gpu_instance_get_compute_instance_profile_info(instance, number)
    return nvml.gpu_instance_create_compute_instance(instance, profile.id)


def uuids(nvml: Nvml, gpu: Handle) -> list[str]:
    found = []
    for slot in range(nvml.device_get_max_mig_device_count(gpu)):
        try:
            found.append(nvml.device_get_uuid(nvml.device_get_mig_device_handle_by_index(gpu, slot)))
        except NvmlError as error:
            if error.code != "NOT_FOUND":
                raise
    return found


def modes(nvml: Nvml, gpu: Handle) -> tuple[bool, bool]:
    return nvml.device_get_mig_mode(gpu), nvml.device_get_pending_mig_mode(gpu)


def test_the_mig_mode_of_hopper_changes_at_once() -> None:
    with opened({**HOPPER, "mig": OFF}) as (nvml, gpu):
        assert nvml.device_set_mig_mode(gpu, True) is None
        assert modes(nvml, gpu) == (True, True)
        assert nvml.device_set_mig_mode(gpu, False) is None
        assert modes(nvml, gpu) == (False, False)


def test_the_mig_mode_of_ampere_is_pending_until_a_reset_and_can_be_taken_back() -> None:
    with opened({**AMPERE, "mig": OFF}) as (nvml, gpu):
        assert nvml.device_set_mig_mode(gpu, True) == "RESET_REQUIRED"
        assert modes(nvml, gpu) == (False, True)
        assert code_of(create, nvml, gpu, ONE, 0, 1) == "NOT_SUPPORTED"
        assert nvml.device_set_mig_mode(gpu, False) is None
        assert modes(nvml, gpu) == (False, False)


def test_the_mig_mode_of_a_gpu_with_a_process_is_pending() -> None:
    with opened({**HOPPER, "mig": OFF, "use": {"processes": [{"pid": 7}]}}) as (nvml, gpu):
        assert nvml.device_set_mig_mode(gpu, True) == IN_USE
        assert modes(nvml, gpu) == (False, True)


def test_the_mig_mode_cannot_be_turned_off_with_gpu_instances() -> None:
    with opened({**HOPPER, "mig": ON}) as (nvml, gpu):
        instance = create(nvml, gpu, THREE, 0, 4)
        assert code_of(nvml.device_set_mig_mode, gpu, False) == IN_USE
        nvml.gpu_instance_destroy(instance)
        assert nvml.device_set_mig_mode(gpu, False) is None


def test_a_gpu_without_mig_has_neither_mode_nor_profiles() -> None:
    with opened({"model": "Tesla T4", "device_id": "1eb8"}) as (nvml, gpu):
        for call in (nvml.device_get_pending_mig_mode, lambda gpu: nvml.device_set_mig_mode(gpu, True)):
            assert code_of(call, gpu) == "NOT_SUPPORTED"
        assert code_of(nvml.device_get_gpu_instance_profile_info, gpu, ONE) == "NOT_SUPPORTED"
        assert nvml.device_get_pci_ids(gpu) == (0x1EB810DE, 0x000010DE)


@pytest.mark.parametrize(("version", "lists"), [("535.129.03", False), ("550.54.15", True), ("odd", False)])
def test_older_drivers_list_no_profiles_while_the_mig_mode_is_off(version: str, lists: bool) -> None:
    with opened({**HOPPER, "mig": OFF}, version=version) as (nvml, gpu):
        if lists:
            assert nvml.device_get_gpu_instance_profile_info(gpu, ONE).id == 19
        else:
            assert code_of(nvml.device_get_gpu_instance_profile_info, gpu, ONE) == "NOT_SUPPORTED"
    with opened({**HOPPER, "mig": ON}, version=version) as (nvml, gpu):
        assert nvml.device_get_gpu_instance_profile_info(gpu, ONE).id == 19


def test_a_new_compute_instance_is_a_mig_device_with_the_profile_of_its_instances() -> None:
    with opened({**HOPPER, "mig": ON}) as (nvml, gpu):
        instance = create(nvml, gpu, THREE, 4, 4)
        assert uuids(nvml, gpu) == []
        compute = divide(nvml, instance, TWO)
        (mig,) = (nvml.device_get_mig_device_handle_by_index(gpu, 0),)
        assert nvml.device_get_name(mig) == "NVIDIA H100 80GB HBM3 MIG 2c.3g.40gb"
        assert nvml.device_get_attributes(mig).compute_instance_slices == 2
        found = nvml.device_get_mig_profile(gpu, mig)
        assert (found.gpu_instance_profile, found.compute_instance_profile, found.start) == (THREE, TWO, 4)
        gpu_info, compute_info = nvml.gpu_instance_get_info(instance), nvml.compute_instance_get_info(compute)
        assert gpu_info.placement == Placement(start=4, size=4)
        assert nvml.device_get_gpu_instance_id(mig) == gpu_info.id
        assert nvml.device_get_compute_instance_id(mig) == compute_info.id
        assert compute_info.placement == Placement(start=0, size=2)


def test_gpu_instances_are_limited_by_memory_slices_engines_and_their_placements() -> None:
    with opened({**HOPPER, "mig": ON}) as (nvml, gpu):
        create(nvml, gpu, THREE, 0, 4)
        assert code_of(create, nvml, gpu, ONE, 3, 1) == INSUFFICIENT_RESOURCES
        assert code_of(create, nvml, gpu, ONE, 7, 1) == INSUFFICIENT_RESOURCES
        assert code_of(create, nvml, gpu, TWO, 5, 2) == INSUFFICIENT_RESOURCES
        create(nvml, gpu, ONE_ME, 4, 1)
        assert code_of(create, nvml, gpu, ONE_ME, 5, 1) == INSUFFICIENT_RESOURCES
        assert code_of(nvml.device_create_gpu_instance, gpu, 999, Placement(start=5, size=1)) == "INVALID_ARGUMENT"


def test_compute_instances_are_limited_by_the_slices_of_the_gpu_instance() -> None:
    with opened({**HOPPER, "mig": ON}) as (nvml, gpu):
        instance = create(nvml, gpu, FOUR, 0, 4)
        divide(nvml, instance, ONE)
        middle, last = divide(nvml, instance, ONE), divide(nvml, instance, ONE)
        assert code_of(divide, nvml, instance, TWO) == INSUFFICIENT_RESOURCES
        nvml.compute_instance_destroy(middle)
        assert code_of(divide, nvml, instance, TWO) == INSUFFICIENT_RESOURCES  # the free slices are not adjacent
        nvml.compute_instance_destroy(last)
        divide(nvml, instance, TWO)
        assert code_of(divide, nvml, instance, THREE) == "NOT_SUPPORTED"
        assert code_of(nvml.gpu_instance_create_compute_instance, instance, 999) == "INVALID_ARGUMENT"


def test_a_gpu_can_have_at_most_its_number_of_mig_devices() -> None:
    thor = {"model": "NVIDIA Thor", "compute": "11.0", "device_id": "2b00", "mig": ON}
    with opened(thor) as (nvml, gpu):
        instance = create(nvml, gpu, THREE, 0, 3)
        divide(nvml, instance, ONE)
        divide(nvml, instance, ONE)
        assert code_of(divide, nvml, instance, ONE) == INSUFFICIENT_RESOURCES


def test_gpu_instances_are_listed_by_profile_and_destroyed_after_their_compute_instances() -> None:
    with opened({**HOPPER, "mig": {**ON, "instances": ["3g.40gb", "1g.10gb"]}}) as (nvml, gpu):
        profile = nvml.device_get_gpu_instance_profile_info(gpu, THREE)
        (instance,) = nvml.device_get_gpu_instances(gpu, profile.id)
        whole = nvml.gpu_instance_get_compute_instance_profile_info(instance, THREE)
        (compute,) = nvml.gpu_instance_get_compute_instances(instance, whole.id)
        assert code_of(nvml.gpu_instance_destroy, instance) == IN_USE
        nvml.compute_instance_destroy(compute)
        assert len(uuids(nvml, gpu)) == 1
        nvml.gpu_instance_destroy(instance)
        assert nvml.device_get_gpu_instances(gpu, profile.id) == ()
        assert code_of(nvml.gpu_instance_destroy, instance) == "NOT_FOUND"
        assert code_of(nvml.compute_instance_destroy, compute) == "NOT_FOUND"


def test_a_compute_instance_with_a_process_is_in_use() -> None:
    busy = {"mig": {**ON, "instances": ["3g.40gb", "1g.10gb"]}, "use": {"processes": [{"pid": 7, "mig": 1}]}}
    with opened({**HOPPER, **busy}) as (nvml, gpu):
        (instance,) = nvml.device_get_gpu_instances(gpu, nvml.device_get_gpu_instance_profile_info(gpu, ONE).id)
        profile = nvml.gpu_instance_get_compute_instance_profile_info(instance, ONE)
        (compute,) = nvml.gpu_instance_get_compute_instances(instance, profile.id)
        assert code_of(nvml.compute_instance_destroy, compute) == IN_USE


def test_each_creation_has_a_new_uuid_and_leaves_the_others() -> None:
    with opened({**HOPPER, "mig": {**ON, "instances": ["3g.40gb"]}}) as (nvml, gpu):
        (first,) = uuids(nvml, gpu)
        seen = {first}
        for _ in range(3):
            instance = create(nvml, gpu, ONE, 4, 1)
            compute = divide(nvml, instance, ONE)
            kept, made = uuids(nvml, gpu)
            assert kept == first
            assert made not in seen
            seen.add(made)
            nvml.compute_instance_destroy(compute)
            nvml.gpu_instance_destroy(instance)


def test_all_sessions_of_a_node_see_a_change_and_other_nodes_do_not() -> None:
    node = scenario({**HOPPER, "mig": ON}, {**HOPPER, "mig": ON})
    open_nvml = simulated_nvml(node, lambda: 0.0)
    with open_nvml() as one, open_nvml() as other:
        first, second = one.device_get_handle_by_index(0), other.device_get_handle_by_index(0)
        divide(one, create(one, first, ONE, 0, 1), ONE)
        assert uuids(other, second) == uuids(one, first) != []
        assert uuids(one, one.device_get_handle_by_index(1)) == []
    with open_nvml() as later, simulated_nvml(node, lambda: 0.0)() as elsewhere:
        assert len(uuids(later, later.device_get_handle_by_index(0))) == 1
        assert uuids(elsewhere, elsewhere.device_get_handle_by_index(0)) == []


def test_a_call_that_fails_changes_nothing() -> None:
    denied = {"at": 0, "kind": "fails", "call": "nvmlGpuInstanceCreateComputeInstance", "result": "NO_PERMISSION"}
    with opened({**HOPPER, "mig": ON}, faults=(denied,)) as (nvml, gpu):
        instance = create(nvml, gpu, ONE, 0, 1)
        assert code_of(divide, nvml, instance, ONE) == "NO_PERMISSION"
        assert uuids(nvml, gpu) == []


def test_a_later_layout_of_a_fault_replaces_that_of_calls() -> None:
    now, fault = 0.0, {"at": 5, "for": 5, "kind": "mig", "gpu": 0, "instances": ["1g.10gb", "1g.10gb"]}
    node = scenario({**HOPPER, "mig": ON}, faults=(fault,))
    with simulated_nvml(node, lambda: now)() as nvml:
        gpu = nvml.device_get_handle_by_index(0)
        divide(nvml, create(nvml, gpu, ONE, 0, 1), ONE)
        before = uuids(nvml, gpu)
        now = 5.0
        assert len(uuids(nvml, gpu)) == 2
        now = 10.0
        assert uuids(nvml, gpu) == before


def test_each_change_is_an_event_for_all_sessions() -> None:
    now, node = 0.0, scenario({**HOPPER, "mig": OFF}, {**HOPPER, "mig": OFF})
    changes: list[Callable[[], object]] = []

    def wait(seconds: float) -> None:
        nonlocal now
        now += seconds
        if changes:
            changes.pop(0)()

    open_nvml = changing_nvml(lambda: node, lambda: now, wait)
    with open_nvml() as watching, open_nvml() as changing:
        gpus = [watching.device_get_handle_by_index(index) for index in (0, 1)]
        other = changing.device_get_handle_by_index(1)
        changing.device_set_mig_mode(other, True)  # before the registration
        events = watching.event_set_create()
        for gpu in gpus:
            watching.device_register_events(gpu, EventType.MIG_CONFIG | EventType.XID, events)
        assert watching.event_set_wait(events, 1000) is None
        changes = [lambda: create(changing, other, ONE, 0, 1)]
        event = watching.event_set_wait(events, 60_000)
        assert event is not None
        assert (event.device, event.type, now < 2.0) == (gpus[1], EventType.MIG_CONFIG, True)
        assert watching.event_set_wait(events, 0) is None


def test_handles_of_instances_are_valid_only_in_their_session() -> None:
    open_nvml = simulated_nvml(scenario({**HOPPER, "mig": ON}), lambda: 0.0)
    with open_nvml() as one, open_nvml() as other:
        instance = create(one, one.device_get_handle_by_index(0), ONE, 0, 1)
        assert code_of(other.gpu_instance_get_info, instance) == "INVALID_ARGUMENT"
        assert code_of(one.gpu_instance_get_info, "no handle") == "INVALID_ARGUMENT"
        assert code_of(one.compute_instance_get_info, instance) == "INVALID_ARGUMENT"
