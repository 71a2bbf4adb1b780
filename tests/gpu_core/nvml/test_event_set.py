"""Registering GPUs in an event set."""

from gpu_core.nvml.event_set import Registration, event_set, register_gpus
from simulation.nvml.library import simulated_nvml
from simulation.scenarios.scenario import Scenario, parse_scenario


def register(*faults: dict[str, object]) -> tuple[Registration, Scenario]:
    board = {"model": "NVIDIA A100-SXM4-40GB", "memory": "40960Mi", "compute": "8.0", "device_id": "20b0"}
    document = {"driver": {"version": "570.1"}, "gpus": [{**board, "count": 2}], "faults": list(faults)}
    scenario = parse_scenario("two", document, source="test")
    with simulated_nvml(scenario, lambda: 0.0)() as nvml, event_set(nvml) as events:
        return register_gpus(nvml, events), scenario


def test_all_gpus_are_registered_and_found_by_their_handle() -> None:
    registration, scenario = register()
    uuids = [gpu.uuid for gpu in scenario.gpus]
    assert [registration.uuid(handle) for _, handle in registration.gpus] == uuids
    assert registration.uuid(object()) is None
    assert (registration.unregistered, registration.should_retry) == ({}, False)


def test_the_registration_of_a_failed_gpu_is_retried_and_of_an_unsupported_one_not() -> None:
    call = "nvmlDeviceRegisterEvents"
    failed, scenario = register({"at": 0, "kind": "fails", "gpu": 0, "call": call, "result": "UNKNOWN"})
    assert (failed.unregistered, failed.should_retry) == (
        {f"GPU 0 ({scenario.gpus[0].uuid})": f"{call} returned UNKNOWN"},
        True,
    )
    unsupported, _ = register({"at": 0, "kind": "unsupported", "gpu": 1, "call": call})
    assert (list(unsupported.unregistered), unsupported.should_retry) == ([f"GPU 1 ({scenario.gpus[1].uuid})"], False)
