"""The MIG modes and layouts that NVML calls have made on a simulated node. They replace those of the scenario."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from simulation.scenarios.mig_layout import MigState
from simulation.scenarios.scenario import SimulatedGpu


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedMig:
    """before: what the scenario had before the first change. A later fault of the kind `mig` drops the change."""

    before: MigState
    now: MigState


class MigStates:
    """Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed: Mapping[int, ChangedMig] = {}

    def apply(self, gpu: SimulatedGpu) -> SimulatedGpu:
        """The GPU with its present MIG mode and layout. gpu: as in the scenario."""
        changed = self._read().get(gpu.index)
        return replace(gpu, mig=changed.now) if changed and changed.before == gpu.mig else gpu

    def count_changes(self, gpu: int) -> int:
        """The number of changes of a GPU by NVML calls. gpu: the index."""
        changed = self._read().get(gpu)
        return changed.now.changes if changed else 0

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Excludes other changes, from `apply` to `write`."""
        with self._lock:
            yield

    def write(self, gpu: SimulatedGpu, mig: MigState) -> None:
        """Replaces the state of a GPU. gpu: as in the scenario."""
        if gpu.mig is not None:
            now = replace(mig, changes=mig.changes + 1)
            self._write({**self._read(), gpu.index: ChangedMig(before=gpu.mig, now=now)})

    def _read(self) -> Mapping[int, ChangedMig]:
        return self._changed

    def _write(self, changed: Mapping[int, ChangedMig]) -> None:
        self._changed = changed
