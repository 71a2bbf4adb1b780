"""NVML's event set of a simulated node: waits as the real call does, and tells what happened since a GPU was registered."""

from collections.abc import Callable
from dataclasses import dataclass

from node_core.host.nvml.api import Handle, NvmlEvent
from node_core.simulate.health import SimulatedEvent, events_of
from node_core.simulate.scenario import Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class _Registration:
    """since: seconds of the scenario's clock; what happened before is not told."""

    device: Handle
    types: int
    since: float


class SimulatedEvents:
    def __init__(self, scenario: Scenario, clock: Callable[[], float], wait: Callable[[float], None]) -> None:
        self._clock = clock
        self._wait = wait
        self._coming = events_of(scenario)
        self._next = next(self._coming, None)
        self._registered: dict[int, _Registration] = {}

    @property
    def gpus(self) -> tuple[int, ...]:
        """Indices of those that are registered."""
        return tuple(self._registered)

    def register(self, gpu: int, device: Handle, types: int) -> None:
        self._registered[gpu] = _Registration(device=device, types=types, since=self._clock())

    def free(self) -> None:
        self._registered.clear()

    def wait(self, seconds: float) -> NvmlEvent | None:
        """The next event; None after so many seconds without one."""
        end = self._clock() + seconds
        while (event := self._next) is not None and event.at <= end:
            while (left := event.at - self._clock()) > 0:
                self._wait(left)
            self._next = next(self._coming, None)
            if (told := self._told(event)) is not None:
                return told
        while (left := end - self._clock()) > 0:
            self._wait(left)
        return None

    def _told(self, event: SimulatedEvent) -> NvmlEvent | None:
        of = self._registered.get(event.gpu)
        if of is None or not event.type & of.types or event.at < of.since:
            return None
        return NvmlEvent(
            device=of.device,
            type=event.type,
            data=event.data,
            gpu_instance=event.gpu_instance,
            compute_instance=event.compute_instance,
        )
