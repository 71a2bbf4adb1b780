"""The simulated NVML library: returns the results and the error codes that NVML returns on the node of a scenario, at each time.

It replaces `gpu_core.nvml.real` for simulated nodes and in tests.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from gpu_core.domain.inventory import Fabric, MigAttributes
from gpu_core.nvml.api import (
    DRIVER_NOT_LOADED,
    GPU_IS_LOST,
    LIBRARY_NOT_FOUND,
    NOT_FOUND,
    NOT_SUPPORTED,
    EventSet,
    FabricHealth,
    GpuInstanceProfile,
    Handle,
    NvLinks,
    Nvml,
    NvmlEvent,
    OpenNvml,
    RemappedRows,
)
from node_core.domain.pci import PciAddress
from node_core.errors import NvmlError
from simulation.nvml.event_set import SimulatedEvents
from simulation.nvml.mig_calls import SimulatedMigCalls
from simulation.nvml.mig_states import MigStates
from simulation.nvml.session import INVALID_ARGUMENT, Clock, CurrentScenario, Device, Wait, error_of, require
from simulation.nvml.state import COMPLETED, EVENT_TYPES, failed_result, happens, health_at
from simulation.nvml.usage_calls import SimulatedUsageCalls
from simulation.scenarios.checks import INIT
from simulation.scenarios.mig_profiles import max_mig_devices
from simulation.scenarios.scenario import Scenario


def simulated_nvml(scenario: Scenario, clock: Clock, wait: Wait = time.sleep) -> OpenNvml:
    """Returns the function that opens NVML of a scenario that does not change. clock, wait: see `changing_nvml`."""
    return changing_nvml(lambda: scenario, clock, wait)


def changing_nvml(
    current: CurrentScenario, clock: Clock, wait: Wait = time.sleep, mig_states: MigStates | None = None
) -> OpenNvml:
    """Returns the function that opens NVML. clock: seconds since the start of the scenario; faults can also change within a session.

    current: the scenario, of which only the faults may change. wait: sleeps for a number of seconds of the clock. A call that hangs
    uses this function. mig_states: the changes of the node by NVML calls; default: none at first, and then those of these sessions.
    """
    states = mig_states or MigStates()

    def open_nvml() -> AbstractContextManager[Nvml]:
        return _session(current, clock, wait, states)

    return open_nvml


def numa_of(scenario: Scenario) -> Callable[[PciAddress], int | None]:
    """Returns a function from the PCI address of a simulated GPU to its NUMA node. The result for any other address is None."""
    nodes = {address: gpu.numa_node for address, gpu in scenario.on_pci.items()}
    return nodes.get


@contextmanager
def _session(current: CurrentScenario, clock: Clock, wait: Wait, mig_states: MigStates) -> Iterator[Nvml]:
    scenario = current()
    if scenario.driver is None:
        raise NvmlError(INIT, LIBRARY_NOT_FOUND, hint=f"scenario {scenario.name} has no driver")
    if happens(scenario, clock(), "driver_gone"):
        raise NvmlError(INIT, DRIVER_NOT_LOADED, hint=f"scenario {scenario.name} has an active driver_gone fault")
    if (result := failed_result(scenario, clock(), gpu=None, call=INIT)) is not None:
        raise NvmlError(INIT, result, hint=f"scenario {scenario.name} has an active fault for this call")
    nvml = SimulatedNvml(current, scenario.driver, clock, wait, mig_states)
    with mig_states.session():
        try:
            yield nvml
        finally:
            nvml.shutdown()


class SimulatedNvml(SimulatedMigCalls, SimulatedUsageCalls):
    """One session of NVML."""

    def system_get_driver_version(self) -> str:
        self._check("system_get_driver_version")
        return self._driver.version

    def system_get_cuda_driver_version(self) -> int:
        method = "system_get_cuda_driver_version"
        self._check(method)
        cuda = require(method, self._driver.cuda)
        return 1000 * cuda.major + 10 * cuda.minor

    def device_get_count(self) -> int:
        self._check("device_get_count")
        return len(self._scenario.gpus)

    def device_get_handle_by_index(self, index: int) -> Handle:
        method = "device_get_handle_by_index"
        self._check(method)
        if not 0 <= index < len(self._scenario.gpus):
            raise error_of(method, INVALID_ARGUMENT)
        gpu = self._scenario.gpus[index]
        self._check(method, gpu)
        return Device(session=self, gpu=gpu)

    def device_get_uuid(self, device: Handle) -> str:
        method = "device_get_uuid"
        handle = self._handle(method, device)
        return self._mig(method, device).uuid if handle.mig else handle.gpu.uuid

    def device_get_name(self, device: Handle) -> str:
        method = "device_get_name"
        model = self._handle(method, device).gpu.model
        return f"{model} MIG {self._mig(method, device).instance.name}" if device.mig else model

    def device_get_brand(self, device: Handle) -> int:
        """NVML_BRAND_GEFORCE, NVML_BRAND_TESLA or NVML_BRAND_NVIDIA."""
        model = self._gpu("device_get_brand", device).model
        return 5 if "GeForce" in model else 2 if "Tesla" in model else 14

    def device_get_addressing_mode(self, device: Handle) -> int:
        """NVML_DEVICE_ADDRESSING_MODE_ATS for a superchip, otherwise none."""
        return 2 if "GB200" in self._gpu("device_get_addressing_mode", device).model else 0

    def device_get_minor_number(self, device: Handle) -> int:
        return self._gpu("device_get_minor_number", device).index

    def device_get_bus_id(self, device: Handle) -> str:
        method = "device_get_bus_id"
        return require(method, self._gpu(method, device).bus_id)

    def device_get_memory_total(self, device: Handle) -> int:
        method = "device_get_memory_total"
        return require(method, self._gpu(method, device).memory_bytes)

    def device_get_cuda_compute_capability(self, device: Handle) -> tuple[int, int]:
        method = "device_get_cuda_compute_capability"
        compute = require(method, self._gpu(method, device).compute)
        return compute.major, compute.minor

    def device_get_mig_mode(self, device: Handle) -> bool:
        return self._mig_capable("device_get_mig_mode", device).mig_enabled

    def device_get_max_mig_device_count(self, device: Handle) -> int:
        """Returns 0 for a GPU without MIG. As in NVML, this is not an error."""
        gpu = self._gpu("device_get_max_mig_device_count", device)
        return max_mig_devices(gpu.model) if gpu.mig_capable else 0

    def device_get_mig_device_handle_by_index(self, device: Handle, slot: int) -> Handle:
        method = "device_get_mig_device_handle_by_index"
        gpu = self._mig_capable(method, device)
        if not 0 <= slot < max_mig_devices(gpu.model):
            raise error_of(method, INVALID_ARGUMENT)
        mig = next((mig for mig in gpu.mig_devices if mig.slot == slot), None)
        if mig is None:
            raise error_of(method, NOT_FOUND)
        return Device(session=self, gpu=gpu, mig=mig)

    def device_get_gpu_instance_id(self, mig_device: Handle) -> int:
        return self._mig("device_get_gpu_instance_id", mig_device).gpu_instance

    def device_get_compute_instance_id(self, mig_device: Handle) -> int:
        return self._mig("device_get_compute_instance_id", mig_device).compute_instance

    def device_get_attributes(self, mig_device: Handle) -> MigAttributes:
        return self._mig("device_get_attributes", mig_device).instance.attributes

    def device_get_mig_profile(self, device: Handle, mig_device: Handle) -> GpuInstanceProfile:
        method = "device_get_mig_profile"
        gpu, mig = self._gpu(method, device), self._mig(method, mig_device)
        if mig not in gpu.mig_devices:
            raise error_of(method, NOT_FOUND)
        return GpuInstanceProfile(
            gpu_instance_profile=mig.instance.profile.number,
            compute_instance_profile=mig.instance.compute_profile,
            start=mig.start,
        )

    def device_get_fabric(self, device: Handle) -> Fabric | None:
        gpu = self._gpu("device_get_fabric", device)
        health = health_at(self._scenario, gpu.index, self._clock()).fabric
        return None if health is None or health.state != COMPLETED else gpu.fabric

    def device_get_fabric_health(self, device: Handle) -> FabricHealth:
        method = "device_get_fabric_health"
        return require(method, self._health(method, device).fabric)

    def device_get_nvlinks(self, device: Handle) -> NvLinks:
        return self._gpu("device_get_nvlinks", device).links

    def device_get_topology_common_ancestor(self, device: Handle, other: Handle) -> int:
        method = "device_get_topology_common_ancestor"
        one, two = self._gpu(method, device), self._gpu(method, other)
        return require(method, self._scenario.common_ancestor(one, two))

    def device_get_recovery_action(self, device: Handle) -> int:
        return self._health("device_get_recovery_action", device).recovery_action

    def device_get_remapped_rows(self, device: Handle) -> RemappedRows:
        return self._health("device_get_remapped_rows", device).remapped_rows

    def device_get_retired_pages_pending(self, device: Handle) -> bool:
        return self._health("device_get_retired_pages_pending", device).retired_pages_pending

    def device_get_uncorrected_ecc_errors(self, device: Handle) -> int:
        return self._health("device_get_uncorrected_ecc_errors", device).uncorrected_ecc_errors

    def device_get_clocks_event_reasons(self, device: Handle) -> int:
        return self._health("device_get_clocks_event_reasons", device).clocks_event_reasons

    def device_get_supported_event_types(self, device: Handle) -> int:
        self._gpu("device_get_supported_event_types", device)
        return int(EVENT_TYPES)

    def event_set_create(self) -> EventSet:
        self._check("event_set_create")
        return SimulatedEvents(self._current, self._clock, self._wait, self._mig_states)

    def event_set_free(self, events: EventSet) -> None:
        self._check("event_set_free")
        events.free()

    def device_register_events(self, device: Handle, types: int, events: EventSet) -> None:
        method = "device_register_events"
        gpu = self._gpu(method, device)
        if types & ~EVENT_TYPES:
            raise error_of(method, NOT_SUPPORTED)
        events.register(gpu.index, device, types)

    def event_set_wait(self, events: EventSet, milliseconds: int) -> NvmlEvent | None:
        """Waits for an event. As in NVML, fails with GPU_IS_LOST if any registered GPU is lost."""
        method = "event_set_wait"
        self._check(method)
        event: NvmlEvent | None = events.wait(milliseconds / 1000)
        if event is None and any(happens(self._scenario, self._clock(), "lost", gpu=index) for index in events.gpus):
            raise error_of(method, GPU_IS_LOST)
        return event
