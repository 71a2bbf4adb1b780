"""Running the queries of one GPU."""

from collections.abc import Hashable

import pytest

from gpu_core.nvml.queries import GpuQueries
from node_core.errors import NvmlError
from simulation.nvml.library import simulated_nvml
from tests.gpu_core.nvml.test_usage import scenario


def test_the_first_error_of_each_function_is_collected_without_unsupported_ones() -> None:
    failed = {"at": 0, "kind": "fails", "call": "nvmlDeviceGetName", "result": "UNKNOWN"}
    absent = {"at": 0, "kind": "unsupported", "call": "nvmlDeviceGetMinorNumber"}
    with simulated_nvml(scenario(failed, absent), float)() as nvml:
        queries, device = GpuQueries(), nvml.device_get_handle_by_index(0)
        for _ in range(2):
            assert queries.query("name", lambda: nvml.device_get_name(device)) is None
        assert queries.query("minor", lambda: nvml.device_get_minor_number(device)) is None
        assert queries.query("temperature", lambda: nvml.device_get_temperature(device)) is not None
    assert {call: error.code for call, error in queries.errors.items()} == {"nvmlDeviceGetName": "UNKNOWN"}
    assert queries.fault == "nvmlDeviceGetName returned UNKNOWN"
    assert queries.unsupported == {"minor"}


def test_an_unsupported_query_is_not_repeated() -> None:
    calls: list[str] = []

    def query() -> None:
        calls.append("query")
        raise NvmlError("nvmlDeviceGetName", "FUNCTION_NOT_FOUND")

    unsupported: set[Hashable] = set()
    for _ in range(2):
        assert GpuQueries(unsupported).query("name", query) is None
    assert calls == ["query"]


@pytest.mark.parametrize("result", ["GPU_IS_LOST", "TIMEOUT"])
def test_a_lost_gpu_gets_no_further_queries(result: str) -> None:
    with simulated_nvml(
        scenario({"at": 0, "kind": "fails", "call": "nvmlDeviceGetName", "result": result}), float
    )() as nvml:
        queries, device = GpuQueries(), nvml.device_get_handle_by_index(0)
        assert queries.query("minor", lambda: nvml.device_get_minor_number(device)) == 0
        assert queries.query("name", lambda: nvml.device_get_name(device)) is None
        assert queries.is_lost
        assert queries.query("minor", lambda: nvml.device_get_minor_number(device)) is None
        assert queries.errors.keys() == {"nvmlDeviceGetName"}
