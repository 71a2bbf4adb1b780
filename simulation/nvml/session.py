"""One session of the simulated NVML: checks arguments and handles, and raises the errors that NVML returns at a time of the scenario."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from gpu_core.domain.inventory import Driver
from gpu_core.nvml.api import FUNCTIONS, GPU_IS_LOST, NOT_FOUND, NOT_SUPPORTED, Handle
from node_core.errors import NvmlError
from simulation.nvml.mig_states import MigStates
from simulation.nvml.state import SimulatedHealth, failed_result, hang_seconds, happens, health_at
from simulation.scenarios.mig_layout import SimulatedMig
from simulation.scenarios.scenario import Scenario, SimulatedGpu

CurrentScenario = Callable[[], Scenario]
Clock = Callable[[], float]
Wait = Callable[[float], None]
Value = TypeVar("Value")

INVALID_ARGUMENT = "INVALID_ARGUMENT"
UNINITIALIZED = "UNINITIALIZED"
_LONGEST_WAIT = 1.0


class SimulatedSession:
    """current: the scenario, of which only the faults may change. clock: seconds since its start. wait: see `library.changing_nvml`.

    mig_states: the changes of the node by calls of all sessions.
    """

    def __init__(
        self, current: CurrentScenario, driver: Driver, clock: Clock, wait: Wait, mig_states: MigStates
    ) -> None:
        self._current = current
        self._mig_states = mig_states
        self._driver = driver
        self._clock = clock
        self._wait = wait
        self._open = True

    @property
    def _scenario(self) -> Scenario:
        return self._current()

    def shutdown(self) -> None:
        """Ends the session. All later calls fail with UNINITIALIZED."""
        self._open = False

    def _health(self, method: str, device: Handle) -> SimulatedHealth:
        return self._health_of(self._gpu(method, device).index)

    def _health_of(self, index: int) -> SimulatedHealth:
        return health_at(self._scenario, index, self._clock())

    def _handle(self, method: str, device: Handle) -> "Device":
        self._check(method)
        if not isinstance(device, Device) or device.session is not self:
            raise error_of(method, INVALID_ARGUMENT)
        self._check(method, device.gpu)
        return device

    def _gpu(self, method: str, device: Handle) -> SimulatedGpu:
        handle = self._handle(method, device)
        if handle.mig is not None:
            raise error_of(method, INVALID_ARGUMENT)
        return self._gpu_at(handle.gpu.index)

    def _gpu_at(self, index: int) -> SimulatedGpu:
        return self._mig_states.apply(self._scenario.gpu_at(index, self._clock()))

    def _mig_capable(self, method: str, device: Handle) -> SimulatedGpu:
        gpu = self._gpu(method, device)
        if not gpu.mig_capable:
            raise error_of(method, NOT_SUPPORTED)
        return gpu

    def _mig(self, method: str, device: Handle) -> SimulatedMig:
        handle = self._handle(method, device)
        if handle.mig is None:
            raise error_of(method, INVALID_ARGUMENT)
        if handle.mig not in self._gpu_at(handle.gpu.index).mig_devices:
            raise error_of(method, NOT_FOUND)
        return handle.mig

    def _check(self, method: str, gpu: SimulatedGpu | None = None) -> None:
        """Raises the error that NVML returns now, independent of the arguments."""
        if not self._open:
            raise error_of(method, UNINITIALIZED)
        index = None if gpu is None else gpu.index
        while seconds := hang_seconds(self._scenario, self._clock(), gpu=index, call=FUNCTIONS[method]):
            self._wait(min(seconds, _LONGEST_WAIT))
        now = self._clock()
        if gpu is not None and happens(self._scenario, now, "lost", gpu=index):
            raise error_of(method, GPU_IS_LOST)
        if happens(self._scenario, now, "unsupported", gpu=index, call=FUNCTIONS[method]):
            raise error_of(method, NOT_SUPPORTED)
        if (result := failed_result(self._scenario, now, gpu=index, call=FUNCTIONS[method])) is not None:
            raise error_of(method, result)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """The handle of a GPU, or of a MIG device of the GPU."""

    session: SimulatedSession
    gpu: SimulatedGpu
    mig: SimulatedMig | None = None


def require(method: str, value: Value | None) -> Value:
    """The value of a call. Raises NOT_SUPPORTED for None."""
    if value is None:
        raise error_of(method, NOT_SUPPORTED)
    return value


def error_of(method: str, code: str) -> NvmlError:
    return NvmlError(FUNCTIONS[method], code)
