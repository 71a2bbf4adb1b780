"""What NVML reports about the live use of a simulated GPU, and which values its board supports. PURE.

Counters increase with the time since the start of the scenario. A scenario's file sets the present use; its faults add errors.
"""

from collections.abc import Iterator, Mapping

from gpu_core.domain.family import family
from gpu_core.domain.usage import MemoryUsage, ProcessSample, RunningProcess, Utilization
from gpu_core.host.platform import is_integrated
from gpu_core.nvml.usage_api import ALL_LINKS, Clock, FieldId, PcieCounter
from simulation.nvml.state import BRAKES, SimulatedHealth
from simulation.scenarios.mig_layout import SimulatedMig
from simulation.scenarios.scenario import Scenario, SimulatedGpu

SAMPLE_MICROSECONDS = 1_000_000
"""The period of the samples of processes."""
RESERVED_SHARE = 128
"""Driver and firmware reserve a 128th of the memory."""
DATA_CENTER = "0302"
"""The PCI class of boards with ECC memory."""
RECOVERY_ACTION = 230
"""NVML_FI_DEV_GET_GPU_RECOVERY_ACTION."""
_NANOSECONDS = 1e9
_KIB_PER_MIB = 1024
_THROTTLE_FIELDS = {BRAKES["thermal"]: (75, 270), BRAKES["power"]: (74, 271)}
"""The bit of a reason -> NVML_FI_DEV_PERF_POLICY_*, NVML_FI_DEV_CLOCKS_EVENT_REASON_*."""
_OTHER_POLICIES = (76, 77, 78, 79, 269)


class UsageView:
    """The values of one GPU at one time. gpu: with its MIG layout at this time. now: seconds since the start of the scenario.

    A value that the board does not support is None.
    """

    def __init__(self, scenario: Scenario, gpu: SimulatedGpu, health: SimulatedHealth, now: float) -> None:
        self._scenario, self._gpu, self._health, self._now = scenario, gpu, health, now
        self._use, self._file = gpu.use, gpu.use.file
        self._is_integrated = is_integrated(gpu.model)
        self._has_ecc = gpu.memory_bytes is not None and gpu.class_code == DATA_CENTER

    @property
    def has_gpm(self) -> bool:
        compute = self._gpu.compute
        return self._has_ecc and compute is not None and compute.major >= 9

    @property
    def has_utilization(self) -> bool:
        return not self._is_integrated and not self._gpu.mig_enabled

    def clock(self, clock: Clock) -> int | None:
        if self._is_integrated or (clock is Clock.MEMORY and self._gpu.memory_bytes is None):
            return None
        return {Clock.SM: self._file.sm_clock, Clock.MEMORY: self._file.memory_clock}.get(clock)

    def temperature(self) -> int | None:
        return None if self._is_integrated else self._use.temperature

    def power(self) -> int | None:
        """Milliwatts."""
        return None if self._is_integrated else round(1000 * self._use.power)

    def utilization(self) -> Utilization | None:
        return Utilization(gpu=self._file.gpu, memory=self._file.memory) if self.has_utilization else None

    def encoder(self) -> int | None:
        return self._file.encoder if self.has_utilization else None

    def decoder(self) -> int | None:
        return self._file.decoder if self.has_utilization else None

    def memory(self) -> MemoryUsage | None:
        return _memory(self._gpu.memory_bytes, self._use.used)

    def mig_memory(self, mig: SimulatedMig) -> MemoryUsage | None:
        used = sum(each.memory for each in self._use.processes if each.slot == mig.slot)
        return _memory(mig.instance.attributes.memory_mib << 20 or None, used)

    def pcie(self, counter: PcieCounter) -> int | None:
        """KB/s."""
        if self._gpu.address is None or self._is_integrated:
            return None
        return round(_KIB_PER_MIB * (self._file.pcie_tx if counter is PcieCounter.TX else self._file.pcie_rx))

    def processes(self) -> tuple[RunningProcess, ...] | None:
        return None if self._is_integrated else tuple(self._running())

    def samples(self, since: int) -> tuple[ProcessSample, ...] | None:
        """One sample of each process for the last whole period, if the period has ended after `since`."""
        at = int(1e6 * self._now) // SAMPLE_MICROSECONDS * SAMPLE_MICROSECONDS + 1
        if not self.has_utilization:
            return None
        return tuple(ProcessSample(each.pid, at, each.sm) for each in self._use.processes if at > since)

    def gpm(self, gpu_instance: int | None) -> Mapping[int, float]:
        """NVML_GPM_METRIC_* -> value. A GPU instance has neither PCIe nor NVLink metrics."""
        file = self._file
        own = {1: float(file.gpu), 2: file.sm, 3: file.occupancy, 5: file.tensor, 10: file.dram, 11: file.fp64}
        own |= {12: file.fp32, 13: file.fp16}
        if gpu_instance is not None:
            return own
        links = {60: file.nvlink_rx, 61: file.nvlink_tx} if self._gpu.links.count else {}
        return own | {20: file.pcie_tx, 21: file.pcie_rx} | links

    def fields(self) -> Mapping[FieldId, int | float]:
        """The supported fields."""
        return {
            FieldId(number): value
            for part in (self._health_fields(), self._memory_fields(), self._throttle_fields(), self._power_fields())
            for number, value in part.items()
        } | dict(self._link_fields())

    def _health_fields(self) -> Mapping[int, int]:
        return {RECOVERY_ACTION: self._health.recovery_action}

    def _memory_fields(self) -> Mapping[int, int]:
        """ECC errors, then retired pages of older boards, or remapped rows of newer ones."""
        if not self._has_ecc:
            return {}
        errors, rows = self._health.uncorrected_ecc_errors, self._health.remapped_rows
        counts = {3: 0, 4: errors, 5: 0, 6: errors}
        if self._gpu.compute is None or family(self._gpu.compute) in ("volta", "turing", "pascal"):
            return counts | {29: 0, 30: 0, 31: int(self._health.retired_pages_pending)}
        return counts | {142: 0, 143: int(rows.pending), 144: int(rows.pending), 145: int(rows.failed)}

    def _throttle_fields(self) -> Mapping[int, int]:
        """The nanoseconds of each reason."""
        if self._is_integrated:
            return {}
        found = dict.fromkeys((*(number for each in _THROTTLE_FIELDS.values() for number in each), *_OTHER_POLICIES), 0)
        for fault in self._scenario.faults:
            if fault.kind == "throttle" and fault.gpu == self._gpu.index and fault.brake is not None:
                end = self._now if fault.for_ is None else min(self._now, fault.at + fault.for_)
                for number in _THROTTLE_FIELDS[BRAKES[fault.brake]]:
                    found[number] += round(max(0.0, end - fault.at) * _NANOSECONDS)
        return found

    def _power_fields(self) -> Mapping[int, int]:
        if self._is_integrated:
            return {}
        energy = round(1000 * self._use.power * self._now)
        memory = {82: self._use.memory_temperature} if self._gpu.mig_capable and self._has_ecc else {}
        replays = {94: 0} if self._gpu.address is not None else {}
        return memory | {83: energy} | replays

    def _link_fields(self) -> Iterator[tuple[FieldId, int]]:
        if not self._gpu.links.count:
            return
        yield from ((FieldId(number), 0) for number in (38, 45, 52, 59))
        rates = {138: self._file.nvlink_tx, 139: self._file.nvlink_rx}
        for number, rate in rates.items():
            yield FieldId(number, ALL_LINKS), round(_KIB_PER_MIB * rate * self._now)

    def _running(self) -> Iterator[RunningProcess]:
        """The processes of a MIG device that no longer exists have ended."""
        migs = {mig.slot: mig for mig in self._gpu.mig_devices}
        for each in self._use.processes:
            mig = migs.get(each.slot) if each.slot is not None else None
            if each.slot is None or mig is not None:
                yield RunningProcess(
                    pid=each.pid,
                    memory=each.memory,
                    gpu_instance=mig.gpu_instance if mig else None,
                    compute_instance=mig.compute_instance if mig else None,
                )


def _memory(total: int | None, used: int) -> MemoryUsage | None:
    """`used` does not contain the reserved memory."""
    if total is None:
        return None
    reserved = total // RESERVED_SHARE
    return MemoryUsage(total=total, used=used, free=max(0, total - reserved - used), reserved=reserved)
