"""Which faults of a scenario are there at a moment. Pure. A fault that names no GPU is one of all."""

import math

from node_core.simulate.scenario import Scenario
from node_core.simulate.scenario_file import FaultKind


def happens(scenario: Scenario, now: float, kind: FaultKind, gpu: int | None = None, call: str | None = None) -> bool:
    """Whether a fault of this kind is there at `now` seconds, for that GPU and call."""
    return any(
        event.kind == kind and event.gpu in (None, gpu) and event.call == call and event.is_active(now)
        for event in scenario.faults
    )


def failed_answer(scenario: Scenario, now: float, gpu: int | None, call: str) -> str | None:
    """The code with which that call fails at `now` seconds."""
    answers = (
        event.answer
        for event in scenario.faults
        if event.kind == "fails" and event.gpu in (None, gpu) and event.call == call and event.is_active(now)
    )
    return next(answers, None)


def seconds_of_hang(scenario: Scenario, now: float, gpu: int | None, call: str) -> float:
    """For how long that call will not return; 0 when it does, infinity when never."""
    ends = [
        math.inf if event.for_ is None else event.at + event.for_
        for event in scenario.faults
        if event.kind == "hang" and event.gpu in (None, gpu) and event.call == call and event.is_active(now)
    ]
    return max(ends, default=now) - now
