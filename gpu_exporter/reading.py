"""What was read of the GPUs, as frozen values. All parts of a reading belong to one MIG layout."""

from collections.abc import Mapping

import msgspec

from gpu_core.domain.inventory import Fault, Gpu
from gpu_core.pods.cgroups import ProcessFacts
from gpu_exporter.pods.usage import DeviceProcesses

Values = Mapping[str, float]
"""`Field.key` -> value. A field without a value has no key."""


class InstanceReading(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU instance. gpu_instance: its id. profile: of the GPU instance, `3g.40gb`; None if unknown."""

    gpu_instance: int
    profile: str | None
    values: Values


class GpuReading(msgspec.Struct, frozen=True, kw_only=True):
    """at: Unix seconds. devices: what NVML lists of processes, for the GPU or for each GPU instance. processes: those that still exist.

    errors: NVML function and error code of the failed queries, without unsupported ones. fault: the first of them, as a sentence.
    """

    gpu: Gpu
    at: float
    values: Values = msgspec.field(default_factory=dict)
    instances: tuple[InstanceReading, ...] = ()
    devices: tuple[DeviceProcesses, ...] = ()
    processes: Mapping[int, ProcessFacts] = msgspec.field(default_factory=dict)
    errors: frozenset[tuple[str, str]] = frozenset()
    fault: str | None = None
    is_lost: bool = False


class GpuState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a GPU at present. reading: None before the first one, and if it is out of date. fault: why, as a sentence.

    errors: NVML function and error code -> failed queries since the agent started.
    """

    gpu: Gpu
    reading: GpuReading | None = None
    fault: str | None = None
    errors: Mapping[tuple[str, str], int] = msgspec.field(default_factory=dict)

    @property
    def shown_gpu(self) -> Gpu:
        """The facts that belong to the reading; without a reading, those of the last discovery."""
        return self.gpu if self.reading is None else self.reading.gpu


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """The present state of each GPU, in the order of NVML. faults: GPUs that were never read."""

    gpus: tuple[GpuState, ...] = ()
    faults: tuple[Fault, ...] = ()


def instance_profile(profile: str | None) -> str | None:
    """The profile of the GPU instance of a MIG device: `3g.40gb` for the compute instance `1c.3g.40gb`."""
    return None if profile is None else profile.partition("c.")[2] or profile
