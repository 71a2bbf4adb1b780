"""The simulated NVML returns the results and errors of NVML, also with faults."""

import threading
from collections.abc import Callable

import pytest

from gpu_core.domain.mig import profile_name
from gpu_core.nvml.api import Nvml
from gpu_core.nvml.inventory import read_inventory
from gpu_core.nvml.source import InventorySource
from node_core.domain.pci import PciAddress
from node_core.errors import NvmlError
from simulation.nvml.library import changing_nvml, numa_of, simulated_nvml
from simulation.nvml.state import list_events
from simulation.scenarios.mig_profiles import BOARDS, parse_instance
from simulation.scenarios.scenario import Scenario, load_scenario, parse_scenario

TWO_GPUS = {"model": "Tesla T4", "count": 2, "memory": "15360Mi", "compute": "7.5", "device_id": "1eb8"}


def scenario(*faults: dict[str, object]) -> Scenario:
    document = {"driver": {"version": "550.54.15", "cuda": "12.4"}, "gpus": [TWO_GPUS], "faults": list(faults)}
    return parse_scenario("two", document, source="test")


def code_of(ask: Callable[[], object]) -> str:
    with pytest.raises(NvmlError) as raised:
        ask()
    return raised.value.code


def test_invalid_arguments_are_an_error() -> None:
    with simulated_nvml(scenario(), lambda: 0.0)() as nvml:
        assert code_of(lambda: nvml.device_get_handle_by_index(2)) == "INVALID_ARGUMENT"
        assert code_of(lambda: nvml.device_get_handle_by_index(-1)) == "INVALID_ARGUMENT"
        assert code_of(lambda: nvml.device_get_uuid("no handle")) == "INVALID_ARGUMENT"
        gpu = nvml.device_get_handle_by_index(0)
        assert code_of(lambda: nvml.device_get_attributes(gpu)) == "INVALID_ARGUMENT"


def test_a_gpu_without_mig_does_not_support_mig_calls() -> None:
    with simulated_nvml(scenario(), lambda: 0.0)() as nvml:
        gpu = nvml.device_get_handle_by_index(0)
        assert code_of(lambda: nvml.device_get_mig_mode(gpu)) == "NOT_SUPPORTED"
        assert nvml.device_get_max_mig_device_count(gpu) == 0


def test_mig_devices_have_handles_and_empty_slots_have_none() -> None:
    with simulated_nvml(load_scenario("h100x8-mig-mixed"), lambda: 0.0)() as nvml:
        whole, cut = nvml.device_get_handle_by_index(0), nvml.device_get_handle_by_index(6)
        mig = nvml.device_get_mig_device_handle_by_index(cut, 2)
        assert nvml.device_get_uuid(mig).startswith("MIG-")
        assert nvml.device_get_name(mig) == "NVIDIA H100 80GB HBM3 MIG 1g.10gb+me"
        assert code_of(lambda: nvml.device_get_mig_device_handle_by_index(cut, 4)) == "NOT_FOUND"
        assert code_of(lambda: nvml.device_get_mig_device_handle_by_index(cut, 7)) == "INVALID_ARGUMENT"
        assert code_of(lambda: nvml.device_get_mig_profile(whole, mig)) == "NOT_FOUND"
        assert code_of(lambda: nvml.device_get_memory_total(mig)) == "INVALID_ARGUMENT"


def test_handles_are_valid_only_in_their_session() -> None:
    open_nvml = simulated_nvml(scenario(), lambda: 0.0)
    with open_nvml() as first:
        handle = first.device_get_handle_by_index(0)
    assert code_of(first.device_get_count) == "UNINITIALIZED"
    assert code_of(lambda: first.device_get_uuid(handle)) == "UNINITIALIZED"
    with open_nvml() as second:
        assert code_of(lambda: second.device_get_uuid(handle)) == "INVALID_ARGUMENT"


def uuids(nvml: Nvml) -> list[str]:
    found = []
    for index in range(nvml.device_get_count()):
        try:
            found.append(nvml.device_get_uuid(nvml.device_get_handle_by_index(index)))
        except NvmlError as error:
            found.append(error.code)
    return found


def test_a_gpu_is_lost_while_the_fault_is_active() -> None:
    now = 0.0
    two = scenario({"at": 10, "for": 5, "kind": "lost", "gpu": 1})
    with simulated_nvml(two, lambda: now)() as nvml:
        whole = [gpu.uuid for gpu in two.gpus]
        handle = nvml.device_get_handle_by_index(1)
        assert uuids(nvml) == whole
        now = 10.0
        assert uuids(nvml) == [whole[0], "GPU_IS_LOST"]
        assert code_of(lambda: nvml.device_get_name(handle)) == "GPU_IS_LOST"
        now = 15.0
        assert uuids(nvml) == whole


def test_a_fault_without_for_does_not_end() -> None:
    with simulated_nvml(scenario({"at": 1, "kind": "lost", "gpu": 0}), lambda: 1e9)() as nvml:
        assert uuids(nvml)[0] == "GPU_IS_LOST"


def test_a_call_can_be_unsupported_for_one_gpu_or_for_all() -> None:
    of_one = scenario({"at": 0, "kind": "unsupported", "call": "nvmlDeviceGetMemoryInfo", "gpu": 1})
    of_all = scenario({"at": 0, "kind": "unsupported", "call": "nvmlDeviceGetMemoryInfo"})
    with simulated_nvml(of_one, lambda: 0.0)() as nvml:
        assert nvml.device_get_memory_total(nvml.device_get_handle_by_index(0)) == 15360 << 20
        second = nvml.device_get_handle_by_index(1)
        assert code_of(lambda: nvml.device_get_memory_total(second)) == "NOT_SUPPORTED"
        assert nvml.device_get_name(second) == "Tesla T4"
    with simulated_nvml(of_all, lambda: 0.0)() as nvml:
        first = nvml.device_get_handle_by_index(0)
        assert code_of(lambda: nvml.device_get_memory_total(first)) == "NOT_SUPPORTED"


@pytest.mark.parametrize(("now", "there"), [(0.0, True), (3.0, False), (4.9, False), (5.0, True)])
def test_nvml_does_not_initialize_without_the_driver(now: float, there: bool) -> None:
    open_nvml = simulated_nvml(scenario({"at": 3, "for": 2, "kind": "driver_gone"}), lambda: now)
    if there:
        with open_nvml() as nvml:
            assert nvml.device_get_count() == 2
    else:
        assert code_of(open_nvml().__enter__) == "DRIVER_NOT_LOADED"


def test_a_scenario_without_driver_has_no_library() -> None:
    with pytest.raises(NvmlError, match="LIBRARY_NOT_FOUND"), simulated_nvml(load_scenario("none"), lambda: 0.0)():
        pass


def test_an_xid_does_not_change_results() -> None:
    with simulated_nvml(scenario({"at": 0, "kind": "xid", "gpu": 0, "code": 79}), lambda: 1.0)() as nvml:
        assert uuids(nvml) == [gpu.uuid for gpu in scenario().gpus]


def test_a_call_fails_with_the_given_error_while_the_fault_is_active() -> None:
    call = {"kind": "fails", "call": "nvmlDeviceGetName", "result": "RESET_REQUIRED"}
    now = 0.0
    with simulated_nvml(scenario({"at": 5, "for": 5, "gpu": 1, **call}), lambda: now)() as nvml:
        first, second = nvml.device_get_handle_by_index(0), nvml.device_get_handle_by_index(1)
        now = 5.0
        assert nvml.device_get_name(first) == "Tesla T4"
        assert code_of(lambda: nvml.device_get_name(second)) == "RESET_REQUIRED"
        now = 10.0
        assert nvml.device_get_name(second) == "Tesla T4"


def test_a_replaced_driver_does_not_initialize() -> None:
    swapped = {"at": 1, "kind": "fails", "call": "nvmlInit_v2", "result": "LIB_RM_VERSION_MISMATCH"}
    assert code_of(simulated_nvml(scenario(swapped), lambda: 1.0)().__enter__) == "LIB_RM_VERSION_MISMATCH"
    with simulated_nvml(scenario(swapped), lambda: 0.0)() as nvml:
        assert nvml.device_get_count() == 2


def events(node: Scenario, until: float, *gpus: int, types: int = 0x10B) -> list[tuple[float, int, int]]:
    """Returns the events of the event set as (time, GPU, Xid or negative event type)."""
    time, found = Time(most=1_000_000), []
    with simulated_nvml(node, time.clock, time.wait)() as nvml:
        events = nvml.event_set_create()
        handles = {index: nvml.device_get_handle_by_index(index) for index in gpus}
        for handle in handles.values():
            nvml.device_register_events(handle, types, events)
        while time.now < until:
            event = nvml.event_set_wait(events, 500)
            if event is not None:
                (index,) = (index for index, handle in handles.items() if handle is event.device)
                found.append((time.now, index, event.data if event.type == 8 else -event.type))
        nvml.event_set_free(events)
    return found


def test_the_event_set_reports_events_of_registered_gpus_at_their_time() -> None:
    node = scenario(
        {"at": 2, "kind": "xid", "gpu": 1, "code": 79},
        {"at": 1.5, "kind": "ecc", "gpu": 1, "count": 1},
        {"at": 1, "kind": "xid", "gpu": 0, "code": 13, "times": 3, "per_second": 1},
    )
    assert events(node, 4, 0, 1) == [(1, 0, 13), (1.5, 1, -2), (2, 1, 79), (2, 0, 13), (3, 0, 13)]
    assert events(node, 4, 1) == [(1.5, 1, -2), (2, 1, 79)]
    assert events(node, 4, 1, types=2) == [(1.5, 1, -2)]
    assert events(node, 4) == []


def test_an_event_of_a_fault_that_is_added_during_a_wait_is_reported_by_that_wait() -> None:
    time, current = Time(), scenario({"at": 1, "kind": "xid", "gpu": 0, "code": 13})

    def wait(seconds: float) -> None:
        nonlocal current
        if time.now == 1.0:  # the first Xid has been reported
            current = current.with_faults_of(scenario({"at": 1.5, "kind": "xid", "gpu": 1, "code": 79}))
        time.wait(seconds)

    with changing_nvml(lambda: current, time.clock, wait)() as nvml:
        events = nvml.event_set_create()
        for index in (0, 1):
            nvml.device_register_events(nvml.device_get_handle_by_index(index), 8, events)
        reported = [nvml.event_set_wait(events, 1000) for _ in range(3)]
    assert [event and event.data for event in reported] == [13, 79, None]


def test_faults_of_a_changed_scenario_apply_to_an_open_session() -> None:
    current = scenario({"at": 0, "kind": "lost", "gpu": 0})
    with changing_nvml(lambda: current, lambda: 5.0)() as nvml:
        assert uuids(nvml)[0] == "GPU_IS_LOST"
        current = scenario()
        assert uuids(nvml)[0].startswith("GPU-")


def test_a_call_that_hangs_returns_when_the_fault_is_removed() -> None:
    time, current = Time(), scenario({"at": 0, "kind": "hang", "call": "nvmlDeviceGetCount"})

    def wait(seconds: float) -> None:
        nonlocal current
        current = scenario()
        time.wait(seconds)

    with changing_nvml(lambda: current, time.clock, wait)() as nvml:
        assert nvml.device_get_count() == 2


def test_unsupported_event_types_cannot_be_registered() -> None:
    with simulated_nvml(scenario(), lambda: 0.0)() as nvml:
        events, handle = nvml.event_set_create(), nvml.device_get_handle_by_index(0)
        assert nvml.device_get_supported_event_types(handle) == 0x10B
        assert code_of(lambda: nvml.device_register_events(handle, 0x4000, events)) == "NOT_SUPPORTED"


def test_a_wait_with_a_lost_gpu_reports_pending_events_before_the_error() -> None:
    node = scenario({"at": 1, "kind": "xid", "gpu": 1, "code": 79}, {"at": 1, "kind": "lost", "gpu": 1})
    time = Time(most=100)
    with simulated_nvml(node, time.clock, time.wait)() as nvml:
        events = nvml.event_set_create()
        for index in (0, 1):
            nvml.device_register_events(nvml.device_get_handle_by_index(index), 8, events)
        event = nvml.event_set_wait(events, 2000)
        assert event is not None
        assert event.data == 79
        assert code_of(lambda: nvml.event_set_wait(events, 2000)) == "GPU_IS_LOST"


def test_a_mig_fault_changes_the_mig_devices_and_causes_events() -> None:
    board = {"model": "NVIDIA A100-SXM4-40GB", "count": 2, "memory": "40960Mi", "device_id": "20b0"}
    cut = {"at": 5, "for": 5, "kind": "mig", "gpu": 0, "instances": ["1g.5gb", "1g.5gb"]}
    xid = {"at": 6, "kind": "xid", "gpu": 0, "code": 94, "mig": 1}
    document = {
        "driver": {"version": "570.1"},
        "gpus": [{**board, "mig": {"mode": "enabled", "instances": ["3g.20gb"]}}],
        "faults": [cut, xid],
    }
    node, now = parse_scenario("cut", document, source="test"), 0.0

    def profiles() -> list[str | None]:
        gpu, other = read_inventory(simulated_nvml(node, lambda: now), numa_of(node)).gpus
        assert [device.profile for device in other.mig_devices] == ["3g.20gb"]
        return [device.profile for device in gpu.mig_devices]

    assert profiles() == ["3g.20gb"]
    with simulated_nvml(node, lambda: now)() as nvml:
        old = nvml.device_get_mig_device_handle_by_index(nvml.device_get_handle_by_index(0), 0)
        now = 5.0
        assert code_of(lambda: nvml.device_get_attributes(old)) == "NOT_FOUND"
    assert profiles() == ["1g.5gb", "1g.5gb"]
    now = 10.0
    assert profiles() == ["3g.20gb"]
    assert events(node, 12, 0) == [(5, 0, -0x100), (6, 0, 94), (10, 0, -0x100)]
    assert [event.gpu_instance for event in list_events(node)] == [None, 8, None]


class Time:
    """A clock that `wait` advances. Raises TimeoutError after `most` waits."""

    def __init__(self, most: int = 1000) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        self._most = most

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds
        if len(self.waits) >= self._most:
            raise TimeoutError


def test_a_call_that_hangs_returns_when_the_fault_ends() -> None:
    hang = {"at": 1, "for": 100, "kind": "hang", "gpu": 1, "call": "nvmlDeviceGetName"}
    time = Time()
    with simulated_nvml(scenario(hang), time.clock, time.wait)() as nvml:
        first, second = nvml.device_get_handle_by_index(0), nvml.device_get_handle_by_index(1)
        assert nvml.device_get_name(second) == "Tesla T4"
        time.now = 21.0
        assert nvml.device_get_name(first) == "Tesla T4"
        assert nvml.device_get_uuid(second).startswith("GPU-")
        assert time.waits == []
        assert nvml.device_get_name(second) == "Tesla T4"
        assert time.now == sum(time.waits) + 21 == 101


def test_a_call_with_an_endless_hang_does_not_return() -> None:
    time = Time()
    endless = scenario({"at": 0, "kind": "hang", "call": "nvmlDeviceGetCount"})
    with simulated_nvml(endless, time.clock, time.wait)() as nvml, pytest.raises(TimeoutError):
        nvml.device_get_count()


def test_a_hang_is_a_timeout_of_a_discovery_with_a_deadline() -> None:
    release = threading.Event()

    def wait(_: float) -> None:
        release.wait(60)
        raise NvmlError("nvmlDeviceGetName", "UNKNOWN")

    endless = scenario({"at": 0, "kind": "hang", "call": "nvmlDeviceGetName", "gpu": 1})
    nvml = simulated_nvml(endless, lambda: 0.0, wait)
    source = InventorySource(lambda: read_inventory(nvml, numa_of(endless)), has_gpus=lambda: True, deadline=0.05)
    assert code_of(source.discover) == "TIMEOUT"
    release.set()


def test_a_call_that_hangs_fails_if_the_gpu_is_lost_during_the_call() -> None:
    hang = {"at": 0, "for": 10, "kind": "hang", "call": "nvmlDeviceGetName"}
    time = Time()
    with simulated_nvml(scenario(hang, {"at": 5, "kind": "lost", "gpu": 0}), time.clock, time.wait)() as nvml:
        first = nvml.device_get_handle_by_index(0)
        assert code_of(lambda: nvml.device_get_name(first)) == "GPU_IS_LOST"


def test_numa_nodes_are_found_by_address() -> None:
    h100x8 = load_scenario("h100x8")
    node = numa_of(h100x8)
    assert [node(address) for address in h100x8.on_pci] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert node(PciAddress("0000:ff:00.0")) is None


@pytest.mark.parametrize(
    ("model", "profile"), [(model, profile) for model, board in BOARDS.items() for profile in board.profiles]
)
def test_the_computed_name_of_a_simulated_profile_is_its_name_in_the_table(model: str, profile: str) -> None:
    instance = parse_instance(model, profile)
    memory = instance.attributes.memory_mib
    name = profile_name(instance.profile.number, instance.compute_profile, memory, BOARDS[model].memory_mib << 20)
    assert name == profile
