"""Reading one GPU: which values, with how many calls, and what a failing call costs."""

from collections.abc import Mapping
from typing import Any

import pytest

from gpu_core.nvml.usage_api import USAGE_FUNCTIONS
from gpu_exporter.fields import FIELDS, Field
from gpu_exporter.reader import RETRY_SECONDS, SLOW_SECONDS, OutdatedLayoutError
from gpu_exporter.reading import instance_profile
from node_core.values import replace
from tests.gpu_exporter.readings import H100, Node, linked, scenario

KEYS = [field.key for field in FIELDS]


def named(*names: str) -> tuple[Field, ...]:
    return tuple(field for field in FIELDS if field.name in names)


def test_the_keys_of_fields_are_different() -> None:
    assert len(KEYS) == len(set(KEYS))
    numbers = [field.number for field in FIELDS if field.number is not None]
    assert numbers == sorted(set(numbers))


def test_the_values_have_the_units_of_dcgm() -> None:
    node = Node(linked({"at": 0, "for": 30, "gpu": 0, "kind": "throttle", "brake": "thermal"}))
    reader = node.reader()
    reader.read()
    values = reader.read().values
    assert values["DCGM_FI_DEV_SM_CLOCK"] == 345
    assert values["DCGM_FI_DEV_POWER_USAGE"] == pytest.approx(512.25)
    assert (values["DCGM_FI_DEV_GPU_TEMP"], values["DCGM_FI_DEV_MEMORY_TEMP"]) == (61, 72)
    assert (values["DCGM_FI_DEV_GPU_UTIL"], values["DCGM_FI_DEV_MEM_COPY_UTIL"]) == (87, 40)
    assert values["DCGM_FI_DEV_FB_USED"] == 11 << 10
    assert values["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"] == 512.25 * 1000 * node.now
    assert values["DCGM_FI_PROF_GR_ENGINE_ACTIVE"] == pytest.approx(0.87)
    assert values["DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"] == pytest.approx(0.335)
    assert values["DCGM_FI_PROF_PCIE_TX_BYTES"] == 1200 << 20
    assert values["DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL"] == pytest.approx(10 * 1.048576 * node.now)
    assert values["gpunode_nvlink_bytes_totaltransmitted"] == (10 << 20) * node.now
    assert values["DCGM_FI_DEV_THERMAL_VIOLATION"] == 30e9
    assert values["gpunode_gpu_throttled_seconds_totalthermal_hardware"] == pytest.approx(30)


def test_means_exist_from_the_second_reading_on() -> None:
    reader = Node(scenario()).reader()
    assert "DCGM_FI_PROF_GR_ENGINE_ACTIVE" not in reader.read().values
    assert reader.needs_second_reading
    assert "DCGM_FI_PROF_GR_ENGINE_ACTIVE" in reader.read().values
    assert not reader.needs_second_reading


def test_a_board_without_a_value_has_no_key() -> None:
    reader = Node(scenario()).reader(2)
    reader.read()
    assert not reader.needs_second_reading
    values = reader.read().values
    absent = [key for key in KEYS if key not in values]
    assert "DCGM_FI_DEV_MEMORY_TEMP" in absent
    assert "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS" in absent
    assert [key for key in absent if "PROF" in key and "PCIE" not in key] == [
        key for key in KEYS if "PROF" in key and "PCIE" not in key
    ]
    assert values["DCGM_FI_DEV_RETIRED_SBE"] == 0
    assert values["DCGM_FI_PROF_PCIE_TX_BYTES"] == 0


def test_a_board_before_hopper_has_pcie_rates_from_another_call() -> None:
    node = Node(scenario(gpus=[{**H100, "compute": "8.0", "use": {"pcie_tx": 10}}]))
    reader = node.reader()
    reader.read()
    assert reader.read().values["DCGM_FI_PROF_PCIE_TX_BYTES"] == 10 * 1024 * 1000


IDLE_CALLS = {
    "nvmlDeviceGetClockInfo": 2,
    "nvmlDeviceGetCurrentClocksEventReasons": 1,
    "nvmlDeviceGetDecoderUtilization": 1,
    "nvmlDeviceGetEncoderUtilization": 1,
    "nvmlDeviceGetFieldValues": 1,
    "nvmlDeviceGetMemoryInfo": 1,
    "nvmlDeviceGetPowerUsage": 1,
    "nvmlDeviceGetTemperature": 1,
    "nvmlDeviceGetUtilizationRates": 1,
    "nvmlGpmMetricsGet": 1,
    "nvmlGpmSampleGet": 1,
}
PROCESS_CALLS = {
    "nvmlDeviceGetComputeRunningProcesses": 1,
    "nvmlDeviceGetGraphicsRunningProcesses": 1,
    "nvmlDeviceGetMPSComputeRunningProcesses": 1,
    "nvmlDeviceGetProcessUtilization": 1,
}


@pytest.mark.parametrize("with_processes", [False, True])
def test_the_calls_of_one_interval_are_few_and_the_field_values_are_one_call(with_processes: bool) -> None:
    node = Node(linked(), with_processes=with_processes)
    reader = node.reader()
    for _ in range(2):
        reader.read()
    node.count()
    reader.read()
    assert node.count() == IDLE_CALLS | (PROCESS_CALLS if with_processes else {})


def test_the_default_fields_need_no_other_calls() -> None:
    node = Node(linked(), tuple(field for field in FIELDS if field.is_default), with_processes=False)
    reader = node.reader()
    for _ in range(2):
        reader.read()
    node.count()
    reader.read()
    assert node.count() == {call: count for call, count in IDLE_CALLS.items() if "EventReasons" not in call}


def test_a_gpu_instance_costs_three_calls() -> None:
    node = Node(scenario())
    reader = node.reader(1)
    for _ in range(2):
        reader.read()
    node.count()
    reader.read()
    calls = node.count()
    assert calls["nvmlGpmMigSampleGet"] == calls["nvmlGpmMetricsGet"] == calls["nvmlDeviceGetMemoryInfo"] == 3
    assert "nvmlDeviceGetUtilizationRates" not in calls
    assert "nvmlDeviceGetProcessUtilization" not in calls
    assert "nvmlDeviceGetHandleByUUID" not in calls


def test_unsupported_queries_are_tried_again_after_an_hour() -> None:
    node = Node(scenario())
    reader = node.reader(1)
    for _ in range(2):
        reader.read()
    node.count()
    node.now += RETRY_SECONDS
    reader.read()
    assert node.count()["nvmlDeviceGetUtilizationRates"] == 1
    reader.read()
    assert "nvmlDeviceGetUtilizationRates" not in node.count()


def test_slow_fields_are_read_once_a_minute_and_keep_their_values() -> None:
    fields = named("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", "DCGM_FI_DEV_GPU_TEMP")
    node = Node(scenario({"at": 1010, "kind": "ecc", "gpu": 0, "count": 7}), fields, with_processes=False)
    reader = node.reader()
    assert reader.read().values["DCGM_FI_DEV_ECC_DBE_VOL_TOTAL"] == 0
    node.now += 10
    node.count()
    assert reader.read().values == {"DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": 0, "DCGM_FI_DEV_GPU_TEMP": 61}
    assert "nvmlDeviceGetFieldValues" not in node.count()
    node.now += SLOW_SECONDS - 0.001  # a reading takes place a bit earlier or later than planned
    assert reader.read().values["DCGM_FI_DEV_ECC_DBE_VOL_TOTAL"] == 7


def test_a_slow_value_that_fails_is_absent() -> None:
    call = {"at": 1010, "gpu": 0, "kind": "fails", "call": "nvmlDeviceGetFieldValues", "result": "UNKNOWN"}
    node = Node(scenario(call), named("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL"), with_processes=False)
    reader = node.reader()
    assert reader.read().values
    node.now += SLOW_SECONDS
    assert reader.read().values == {}


def test_gpu_instances_have_their_own_values_and_the_gpu_has_the_rest() -> None:
    reader = Node(scenario()).reader(1)
    reader.read()
    reading = reader.read()
    assert [(each.gpu_instance, each.profile) for each in reading.instances] == [
        (1, "3g.40gb"),
        (3, "2g.20gb"),
        (7, "1g.10gb"),
    ]
    used = {each.gpu_instance: each.values["DCGM_FI_DEV_FB_USED"] for each in reading.instances}
    assert used == {1: 5 << 10, 3: 0, 7: 2 << 10}
    assert all(each.values["DCGM_FI_PROF_DRAM_ACTIVE"] == 0.125 for each in reading.instances)
    of_instances = {field.key for field in FIELDS if field.of_instance}
    assert not of_instances & reading.values.keys()
    assert all(each.values.keys() <= of_instances for each in reading.instances)
    assert reading.values["DCGM_FI_DEV_POWER_USAGE"] == pytest.approx(512.25)


def test_a_gpu_in_mig_mode_without_devices_has_values_of_the_whole_gpu() -> None:
    reading = Node(scenario(gpus=[{**H100, "mig": {"mode": "enabled"}}])).reader().read()
    assert reading.instances == ()
    assert reading.values["DCGM_FI_DEV_FB_USED"] == 0


def test_the_profile_of_an_instance_has_no_compute_part() -> None:
    profiles = ["1g.10gb", "1c.3g.40gb", "1g.10gb+me", None]
    assert [instance_profile(each) for each in profiles] == ["1g.10gb", "3g.40gb", "1g.10gb+me", None]


CALLS = sorted(set(USAGE_FUNCTIONS.values()) - {"nvmlDeviceGetHandleByUUID"})


def test_processes_and_samples_are_those_of_the_gpu() -> None:
    node = Node(scenario())
    reading = node.reader().read()
    (device,) = reading.devices
    assert (device.gpu_instance, device.memory_used_bytes, device.sm_ratio) == (None, 11 << 30, 0.87)
    assert {each.pid: each.memory_bytes for each in device.processes} == {4242: 10 << 30, 7: 1 << 30}
    assert {each.pid: each.percent for each in device.samples or ()} == {4242: 35, 7: 2}
    assert device.queried_at == node.now + 50
    assert reading.processes.keys() == {4242, 7}
    assert node.asked == [{4242, 7}]


def test_the_newest_sample_is_from_now_unless_the_driver_uses_unix_time() -> None:
    node = Node(scenario())
    assert {each.at for each in node.reader().read().devices[0].samples or ()} == {node.now + 50}
    unix = Node(scenario())
    unix.plan = replace(unix.plan, clocks=replace(unix.plan.clocks, wall=lambda: unix.now + 5))
    samples = unix.reader().read().devices[0].samples or ()
    assert [each.at for each in samples] == [pytest.approx(unix.now + 50 - 5, abs=1e-3)] * 2


def test_processes_of_gpu_instances_are_separate() -> None:
    node = Node(scenario())
    devices = node.reader(1).read().devices
    assert [(each.gpu_instance, [process.pid for process in each.processes]) for each in devices] == [
        (1, [10]),
        (3, []),
        (7, [11]),
    ]
    assert all(each.samples is None and each.sm_ratio is None for each in devices)
    assert node.asked == [{10, 11}]


def test_without_processes_nothing_is_read_from_proc() -> None:
    node = Node(scenario(), with_processes=False)
    assert node.reader().read().devices == ()
    assert node.asked == []


@pytest.mark.parametrize("result", ["NOT_SUPPORTED", "UNKNOWN"])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("index", [0, 1], ids=["whole", "MIG"])
def test_a_failing_call_costs_its_own_values_alone(index: int, call: str, result: str) -> None:
    healthy, node = Node(scenario()), Node(scenario({"at": 0, "kind": "fails", "call": call, "result": result}))
    before, after = twice(healthy, index), twice(node, index)
    lost = {key for key, value in before.values.items() if after.values.get(key) != value}
    lost |= {
        key for one in before.instances for key in one.values if any(key not in each.values for each in after.instances)
    }
    assert lost <= COSTS.get(call, set()), call
    assert not after.is_lost
    is_failure = result == "UNKNOWN" and call not in {"nvmlGpmSampleFree", *UNUSED[index]}
    assert (after.fault is not None) == is_failure
    assert after.errors == ({(call, "UNKNOWN")} if is_failure else frozenset())


def twice(node: Node, index: int) -> Any:
    """The second reading, with slow fields."""
    reader = node.reader(index)
    reader.read()
    node.now += SLOW_SECONDS
    return reader.read()


MEMORY_KEYS = {key for key in KEYS if "_FB_" in key}
GPM_KEYS = {key for key in KEYS if "_PROF_" in key}
COSTS: Mapping[str, set[str]] = {
    "nvmlDeviceGetFieldValues": set(KEYS) - MEMORY_KEYS - GPM_KEYS,
    "nvmlDeviceGetClockInfo": {"DCGM_FI_DEV_SM_CLOCK", "DCGM_FI_DEV_MEM_CLOCK"},
    "nvmlDeviceGetTemperature": {"DCGM_FI_DEV_GPU_TEMP"},
    "nvmlDeviceGetPowerUsage": {"DCGM_FI_DEV_POWER_USAGE"},
    "nvmlDeviceGetUtilizationRates": {"DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_MEM_COPY_UTIL"},
    "nvmlDeviceGetEncoderUtilization": {"DCGM_FI_DEV_ENC_UTIL"},
    "nvmlDeviceGetDecoderUtilization": {"DCGM_FI_DEV_DEC_UTIL"},
    "nvmlDeviceGetMemoryInfo": MEMORY_KEYS,
    "nvmlDeviceGetPcieThroughput": {"DCGM_FI_PROF_PCIE_TX_BYTES", "DCGM_FI_PROF_PCIE_RX_BYTES"},
    **dict.fromkeys(
        (
            "nvmlGpmQueryDeviceSupport",
            "nvmlGpmSampleAlloc",
            "nvmlGpmSampleGet",
            "nvmlGpmMigSampleGet",
            "nvmlGpmMetricsGet",
        ),
        GPM_KEYS,
    ),
}
UNUSED = (
    {"nvmlGpmMigSampleGet", "nvmlDeviceGetPcieThroughput", "nvmlGpmQueryDeviceSupport"},
    {"nvmlDeviceGetProcessUtilization", "nvmlGpmQueryDeviceSupport"},
)
"""Calls that a reading of the whole GPU, and of the GPU with MIG devices, does not make."""


@pytest.mark.parametrize("result", ["GPU_IS_LOST", "TIMEOUT"])
@pytest.mark.parametrize("index", [0, 1], ids=["whole", "MIG"])
def test_a_lost_gpu_is_asked_once(index: int, result: str) -> None:
    fault = {"at": 1001, "gpu": index, "kind": "fails", "call": "nvmlDeviceGetFieldValues", "result": result}
    node = Node(scenario(fault))
    reader = node.reader(index)
    reader.read()
    node.now = 1001
    node.count()
    reading = reader.read()
    assert reading.is_lost
    assert node.count() == {"nvmlDeviceGetFieldValues": 1}
    assert reading.fault == f"nvmlDeviceGetFieldValues returned {result}"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("index", [0, 1], ids=["whole", "MIG"])
def test_each_call_can_report_the_loss_of_the_gpu(index: int, call: str) -> None:
    node = Node(scenario({"at": 0, "kind": "fails", "call": call, "result": "GPU_IS_LOST"}))
    reading = twice(node, index)
    is_made = call not in {"nvmlGpmSampleFree", *UNUSED[index]}
    assert reading.is_lost == is_made
    assert reading.errors == ({(call, "GPU_IS_LOST")} if is_made else frozenset())


def test_changed_mig_devices_are_an_error_and_never_a_part_of_a_reading() -> None:
    cut = {"at": 1001, "kind": "mig", "gpu": 1, "instances": ["7g.80gb"]}
    node = Node(scenario(cut))
    reader = node.reader(1)
    reader.read()
    node.now = 1001
    with pytest.raises(OutdatedLayoutError):
        reader.read()
    with pytest.raises(OutdatedLayoutError):
        node.reader(1)


def test_closing_a_reader_frees_its_samples() -> None:
    node = Node(scenario())
    reader = node.reader(1)
    for _ in range(3):
        reader.read()
    allocated = node.count()["nvmlGpmSampleAlloc"]
    reader.close()
    assert node.count() == {"nvmlGpmSampleFree": allocated}
    reader.close()
    assert node.count() == {}


def test_a_hopper_board_has_link_errors_from_the_fields_of_each_link() -> None:
    node = Node(linked(), named("DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL"), with_processes=False)
    totals, links = 52, 161

    def field_values(_: object, ids: Any) -> tuple[Any, ...]:
        return tuple(
            "NOT_SUPPORTED" if each.number == totals else each.scope for each in ids if each.number in (totals, links)
        )

    vars(node.nvml)["device_get_field_values"] = field_values
    reader = node.reader()
    assert reader.read().values == {}
    node.now += SLOW_SECONDS
    assert reader.read().values == {"DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL": sum(range(18))}
