"""The live use of a simulated GPU: what a scenario file sets, and the values of an idle GPU for the rest. PURE."""

from dataclasses import dataclass

from simulation.scenarios.checks import parse_memory
from simulation.scenarios.file_format import UseFile

IDLE_WATTS, IDLE_CELSIUS, WARMER_MEMORY = 70.0, 31, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedProcess:
    """memory: bytes. sm: percent. slot: of the MIG device, or None."""

    pid: int
    memory: int
    sm: int
    slot: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedUse:
    """file: the values that need no default. power: watts. used: bytes, also of processes. The GPUs of a scenario differ a little."""

    file: UseFile
    power: float
    temperature: int
    memory_temperature: int
    used: int
    processes: tuple[SimulatedProcess, ...]


def build_use(file: UseFile, index: int) -> SimulatedUse:
    """index: of the GPU."""
    processes = tuple(
        SimulatedProcess(pid=each.pid, memory=parse_memory(each.memory), sm=each.sm, slot=each.mig)
        for each in file.processes
    )
    temperature = IDLE_CELSIUS + index if file.temperature is None else file.temperature
    return SimulatedUse(
        file=file,
        power=IDLE_WATTS + index if file.power is None else file.power,
        temperature=temperature,
        memory_temperature=temperature + WARMER_MEMORY if file.memory_temperature is None else file.memory_temperature,
        used=sum(each.memory for each in processes) if file.used is None else parse_memory(file.used),
        processes=processes,
    )
