"""The NVML event set of a simulated node. Reports the events of a GPU since its registration."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from gpu_core.nvml.api import EventType, Handle, NvmlEvent
from simulation.nvml.mig_states import MigStates
from simulation.nvml.state import SimulatedEvent, list_events
from simulation.scenarios.scenario import Scenario

_POLL = 0.2
"""Seconds until a change of a MIG layout by another session is noticed."""


@dataclass(slots=True, kw_only=True)
class _Registration:
    """since: the time of the registration, in seconds since the start of the scenario. Earlier events are not reported.

    mig_changes: the reported changes of the MIG layout by NVML calls, and those before the registration.
    """

    device: Handle
    types: int
    since: float
    mig_changes: int


class SimulatedEvents:
    """current: the scenario. Its faults may change."""

    def __init__(
        self,
        current: Callable[[], Scenario],
        clock: Callable[[], float],
        wait: Callable[[float], None],
        mig_states: MigStates,
    ) -> None:
        self._current = current
        self._mig_states = mig_states
        self._clock = clock
        self._wait = wait
        self._read_until = -math.inf
        self._read_faults()
        self._registered: dict[int, _Registration] = {}

    @property
    def gpus(self) -> tuple[int, ...]:
        """The indices of the registered GPUs."""
        return tuple(self._registered)

    def register(self, gpu: int, device: Handle, types: int) -> None:
        self._registered[gpu] = _Registration(
            device=device, types=types, since=self._clock(), mig_changes=self._mig_states.count_changes(gpu)
        )

    def free(self) -> None:
        self._registered.clear()

    def wait(self, seconds: float) -> NvmlEvent | None:
        """Returns the next event, or None after `seconds` without an event."""
        end = self._clock() + seconds
        while True:
            if (changed := self._next_mig_change()) is not None:
                return changed
            event, now = self._next_event(), self._clock()
            if event is not None and event.at <= now:
                self._read_until, self._next = event.at, next(self._coming, None)
                if (translated := self._translate(event)) is not None:
                    return translated
            elif now >= end:
                return None
            else:
                self._wait(min((end if event is None else min(event.at, end)) - now, _POLL))

    def _next_mig_change(self) -> NvmlEvent | None:
        """An event for the changes of one GPU, each time at most one."""
        for gpu, registration in self._registered.items():
            changes = self._mig_states.count_changes(gpu)
            if changes != registration.mig_changes and registration.types & EventType.MIG_CONFIG:
                registration.mig_changes = changes
                return NvmlEvent(device=registration.device, type=EventType.MIG_CONFIG, data=0)
        return None

    def _next_event(self) -> SimulatedEvent | None:
        if self._current() is not self._scenario:
            self._read_faults()
        return self._next

    def _read_faults(self) -> None:
        """Starts at the first event after the last event that was read: faults may have been added since then."""
        self._scenario, read_until = self._current(), self._read_until
        self._coming = (event for event in list_events(self._scenario) if event.at > read_until)
        self._next = next(self._coming, None)

    def _translate(self, event: SimulatedEvent) -> NvmlEvent | None:
        registration = self._registered.get(event.gpu)
        if registration is None or not event.type & registration.types or event.at < registration.since:
            return None
        return NvmlEvent(
            device=registration.device,
            type=event.type,
            data=event.data,
            gpu_instance=event.gpu_instance,
            compute_instance=event.compute_instance,
        )
