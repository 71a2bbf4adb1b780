"""The last written status of each NVIDIADriver, so that an API server that changes a status causes no write in each pass.

The CRD of NVIDIA's GPU Operator has fewer fields than ours, and the API server removes the others from each write.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from gpu_operator.view import Obj

Status = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """desired: without times. answer: what the API server made of the status."""

    desired: Status
    answer: Status


class StatusWrites:
    """Used by one thread. Empty after the start of the process: then each status that differs is written once."""

    def __init__(self) -> None:
        self._written: dict[str, Written] = {}

    def is_needed(self, driver: Obj, desired: Status) -> bool:
        """True if the observed status differs from the desired one, and the same write has not led to the observed status."""
        observed, last = driver.get("status") or {}, self._written.get(driver["metadata"]["name"])
        if not any(observed.get(key) != value for key, value in desired.items()):
            return False
        return last is None or (last.desired, last.answer) != (without_times(desired), observed)

    def record(self, name: str, desired: Status, response: Obj) -> None:
        """response: of the API server, the object after the write."""
        self._written[name] = Written(desired=without_times(desired), answer=response.get("status") or {})

    def retain(self, names: Collection[str]) -> None:
        """Forgets the objects that do not exist any more."""
        self._written = {name: each for name, each in self._written.items() if name in names}


def without_times(status: Status) -> Status:
    """A condition that the API server has removed gets a new time in each pass. PURE."""
    conditions = [
        {key: value for key, value in each.items() if key != "lastTransitionTime"} for each in status["conditions"]
    ]
    return {**status, "conditions": conditions}
