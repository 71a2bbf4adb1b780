"""Renders a scenario in the format of the C library, one fact a line, and writes the files of the simulated host.

```
init CODE                                 the result of nvmlInit; default: success
driver VERSION / cuda NUMBER              0: not supported
gpu MINOR UUID BUS_ID BYTES MAJOR MINOR MIG_CAPABLE MIG_ENABLED MAX_MIG NAME     -1, or - for BUS_ID: not supported
pci GPU DEVICE SUBSYSTEM                  pciDeviceId and pciSubSystemId, in hex digits; default: 0
profile GPU NUMBER ID NAME SLICES MEMORY_SLICES MAX MIB SM COPY DEC ENC JPEG OFA START...     a GPU instance profile and its placements
instance GPU ID PROFILE START             a GPU instance; PROFILE is the number of NVML
compute GPU GI ID PROFILE START SLOT UUID     a compute instance, which is a MIG device
link GPU TYPE BUS_ID                      an active NVLink and its remote device: TYPE is 0 for a GPU, 2 for a switch
fabric GPU CLUSTER_HEX CLIQUE STATE HEALTH_MASK      default: the GPU has no fabric
near GPU GPU LEVEL                        the common ancestor in PCI, nvmlGpuTopologyLevel_t; default: not supported
fault FUNCTION GPU|* CODE                 the result of the function; FUNCTION may be * and may lack its version suffix
hang FUNCTION GPU|*                       the function does not return
state GPU RECOVERY_ACTION REMAP_PENDING REMAP_FAILED RETIREMENT_PENDING UNCORRECTED CLOCKS_REASONS     default: all 0
use GPU SM_MHZ MEMORY_MHZ CELSIUS MILLIWATTS GPU% MEMORY% ENCODER% DECODER% PCIE_TX PCIE_RX PROCESSES GPM     -1: not supported
memory GPU USED FREE RESERVED             bytes; default: nothing is used
field GPU FIELD SCOPE VALUE               a supported field of nvmlDeviceGetFieldValues
process GPU PID BYTES GI CI SM% AT        AT: microseconds, of the sample; GI, CI may be -1
gpm GPU GI METRIC VALUE                   GI -1: the whole GPU
event GPU SECONDS TYPE DATA GI CI TIMES PER_SECOND     SECONDS since nvmlInit; TIMES events at the rate PER_SECOND; GI, CI may be -1
```
"""

import itertools
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from gpu_core.domain.usage import ProcessSample, Utilization
from gpu_core.host.platform import DXG, TEGRA_RELEASE, is_integrated
from gpu_core.nvml.api import FabricHealth
from gpu_core.nvml.usage_api import Clock, PcieCounter
from simulation.nvml.state import SimulatedHealth, failed_result, fault_events, health_at
from simulation.nvml.usage import RECOVERY_ACTION, UsageView
from simulation.scenarios.checks import INIT
from simulation.scenarios.file_format import FaultEvent
from simulation.scenarios.mig_layout import MigState
from simulation.scenarios.mig_placements import max_instances, possible_placements
from simulation.scenarios.mig_profiles import BOARDS, Board, max_mig_devices
from simulation.scenarios.scenario import NVIDIA, Scenario, SimulatedGpu

VARIABLE = "GPUNODE_NVML_SCENARIO"
SWITCH_BUS_ID = "0000FFFF:00:00.0"
"""The bus id of every switch. No GPU has this address."""
CONFIG_SPACE = 256
"""Bytes of a function's PCI configuration space, as a privileged process reads it."""
CODES = {
    "UNINITIALIZED": 1,
    "INVALID_ARGUMENT": 2,
    "NOT_SUPPORTED": 3,
    "NO_PERMISSION": 4,
    "NOT_FOUND": 6,
    "DRIVER_NOT_LOADED": 9,
    "TIMEOUT": 10,
    "LIBRARY_NOT_FOUND": 12,
    "GPU_IS_LOST": 15,
    "RESET_REQUIRED": 16,
    "LIB_RM_VERSION_MISMATCH": 18,
    "IN_USE": 19,
    "INSUFFICIENT_RESOURCES": 23,
    "UNKNOWN": 999,
}
"""Numbers of nvmlReturn_t."""


def render_lines(scenario: Scenario, *, now: float = 0.0, more: tuple[str, ...] = ()) -> str:
    """The state of the scenario at `now` seconds. Times of events count from `now`. more: additional lines."""
    return "".join(f"{line}\n" for line in (*_lines(scenario, now), *more))


def write_host_root(folder: Path, scenario: Scenario) -> Path:
    """Writes the machine type, sysfs of the scenario's PCI functions, and the files that identify WSL and a Tegra. Returns the folder."""
    product = folder / "sys/class/dmi/id/product_name"
    product.parent.mkdir(parents=True)
    product.write_text("Stand-in 1\n")
    for name in (DXG,) * scenario.wsl + (TEGRA_RELEASE,) * any(is_integrated(gpu.model) for gpu in scenario.gpus):
        sign = folder / name.lstrip("/")
        sign.parent.mkdir(parents=True)
        sign.touch()
    for address, gpu in scenario.on_pci.items():
        function = folder / "sys/bus/pci/devices" / address
        function.mkdir(parents=True)
        numa_node = -1 if gpu.numa_node is None else gpu.numa_node
        attributes = {
            "class": f"0x{gpu.class_code}00",
            "vendor": f"0x{NVIDIA}",
            "device": f"0x{gpu.device_id}",
            "subsystem_vendor": f"0x{NVIDIA}",
            "subsystem_device": f"0x{gpu.subsystem_id}",
            "numa_node": f"{numa_node}",
        }
        for name, value in attributes.items():
            (function / name).write_text(f"{value}\n")
        ids = bytes.fromhex(NVIDIA)[::-1] + bytes.fromhex(gpu.device_id)[::-1]
        (function / "config").write_bytes(ids.ljust(CONFIG_SPACE, b"\0"))  # no capabilities, so no vGPU
    return folder


def _lines(scenario: Scenario, now: float) -> Iterator[str]:
    active = [event for event in scenario.faults if event.is_active(now)]
    if scenario.driver is None:
        yield f"init {CODES['LIBRARY_NOT_FOUND']}"
        return
    if any(event.kind == "driver_gone" for event in active):
        yield f"init {CODES['DRIVER_NOT_LOADED']}"
    elif (answer := failed_result(scenario, now, gpu=None, call=INIT)) is not None:
        yield f"init {CODES[answer]}"
    cuda = scenario.driver.cuda
    yield f"driver {scenario.driver.version}"
    yield f"cuda {1000 * cuda.major + 10 * cuda.minor if cuda else 0}"
    gpus = [scenario.gpu_at(gpu.index, now) for gpu in scenario.gpus]
    yield from map(_gpu_line, gpus)
    for gpu in gpus:
        yield from _gpu_parts(gpu)
        health = health_at(scenario, gpu.index, now)
        yield _state_line(gpu, health)
        yield from _use_lines(gpu, UsageView(scenario, gpu, health, now))
        yield from _fabric_lines(gpu, health.fabric)
    for one, other in itertools.combinations(gpus, 2):
        if (level := scenario.common_ancestor(one, other)) is not None:
            yield _words("near", one.index, other.index, level)
    for event in sorted(active, key=lambda each: each.kind != "lost"):  # every call on a lost GPU fails
        yield from _rule(event)
    for event in scenario.faults:
        yield from _event_lines(scenario, event, now)


def _gpu_line(gpu: SimulatedGpu) -> str:
    memory = -1 if gpu.memory_bytes is None else gpu.memory_bytes
    compute = (-1, -1) if gpu.compute is None else (gpu.compute.major, gpu.compute.minor)
    mig = (int(gpu.mig_capable), int(gpu.mig_enabled), max_mig_devices(gpu.model) if gpu.mig_capable else 0)
    return _words("gpu", gpu.index, gpu.uuid, gpu.bus_id or "-", memory, *compute, *mig, gpu.model)


def _gpu_parts(gpu: SimulatedGpu) -> Iterator[str]:
    if gpu.address is not None:
        yield _words("pci", gpu.index, f"{gpu.device_id}{NVIDIA}", f"{gpu.subsystem_id}{NVIDIA}")
    if gpu.mig is not None:
        yield from _mig_lines(gpu, gpu.mig)
    for remote in gpu.links.remotes:
        yield f"link {gpu.index} 0 {remote}"
    for _ in range(gpu.links.switched):
        yield f"link {gpu.index} 2 {SWITCH_BUS_ID}"


def _use_lines(gpu: SimulatedGpu, view: UsageView) -> Iterator[str]:
    rates, processes = view.utilization() or Utilization(gpu=-1, memory=-1), view.processes()
    own = (view.clock(Clock.SM), view.clock(Clock.MEMORY), view.temperature(), view.power(), rates.gpu, rates.memory)
    engines = (view.encoder(), view.decoder(), view.pcie(PcieCounter.TX), view.pcie(PcieCounter.RX))
    flags = (int(processes is not None), int(view.has_gpm))
    yield _words("use", gpu.index, *(-1 if each is None else each for each in (*own, *engines)), *flags)
    if (memory := view.memory()) is not None:
        yield _words("memory", gpu.index, memory.used, memory.free, memory.reserved)
    for field_id, value in view.fields().items():
        if field_id.number != RECOVERY_ACTION:
            yield _words("field", gpu.index, *field_id, value)
    percents = {sample.pid: sample for sample in view.samples(0) or ()}
    for each in processes or ():
        instances = (-1 if number is None else number for number in (each.gpu_instance, each.compute_instance))
        sample = percents.get(each.pid, ProcessSample(each.pid, 0, 0))
        yield _words("process", gpu.index, each.pid, each.memory, *instances, sample.sm, sample.at)
    for gpu_instance in dict.fromkeys((None, *(mig.gpu_instance for mig in gpu.mig_devices))):
        for metric, value in view.gpm(gpu_instance).items():
            yield _words("gpm", gpu.index, -1 if gpu_instance is None else gpu_instance, metric, value)


def _fabric_lines(gpu: SimulatedGpu, health: FabricHealth | None) -> Iterator[str]:
    if health is not None:
        cluster, clique = (gpu.fabric.cluster_uuid.replace("-", ""), gpu.fabric.clique) if gpu.fabric else ("0" * 32, 0)
        yield _words("fabric", gpu.index, cluster, clique, health.state, health.mask)


def _state_line(gpu: SimulatedGpu, health: SimulatedHealth) -> str:
    rows = health.remapped_rows
    memory = (int(rows.pending), int(rows.failed), int(health.retired_pages_pending), health.uncorrected_ecc_errors)
    return _words("state", gpu.index, health.recovery_action, *memory, health.clocks_event_reasons)


def _event_lines(scenario: Scenario, fault: FaultEvent, now: float) -> Iterator[str]:
    """The events of a fault. Repeated Xids are one line."""
    for event in islice(fault_events(scenario, fault), 1 if fault.kind == "xid" else None):
        instances = (-1 if each is None else each for each in (event.gpu_instance, event.compute_instance))
        what = (event.gpu, f"{event.at - now:.6f}", int(event.type), event.data, *instances)
        yield _words("event", *what, fault.times or 1, fault.per_second or 1)


def _mig_lines(gpu: SimulatedGpu, mig: MigState) -> Iterator[str]:
    if gpu.model in BOARDS:
        yield from _profile_lines(gpu.index, BOARDS[gpu.model])
    for each in mig.instances:
        yield _words("instance", gpu.index, each.id, each.profile.number, each.start)
    for part in mig.devices:
        profile, place = part.instance.compute_profile, (part.compute_start, part.slot)
        yield _words("compute", gpu.index, part.gpu_instance, part.compute_instance, profile, *place, part.uuid)


def _profile_lines(gpu: int, board: Board) -> Iterator[str]:
    for name, has in board.profiles.items():
        slices = (has.slices, has.memory_slices, max_instances(board, has))
        engines = (has.copy_engines, has.decoders, has.encoders, has.jpeg_engines, has.ofa_engines)
        starts = (placement.start for placement in possible_placements(board, has))
        own = (has.number, board.profile_id(has), name, *slices, has.memory_mib, has.multiprocessors)
        yield _words("profile", gpu, *own, *engines, *starts)


def _rule(event: FaultEvent) -> Iterator[str]:
    gpu = "*" if event.gpu is None else event.gpu
    if event.kind == "lost":
        yield f"fault * {gpu} {CODES['GPU_IS_LOST']}"
    elif event.kind == "unsupported":
        yield f"fault {event.call} {gpu} {CODES['NOT_SUPPORTED']}"
    elif event.kind == "fails" and event.call != INIT:
        yield f"fault {event.call} {gpu} {CODES[event.result or 'UNKNOWN']}"
    elif event.kind == "hang":
        yield f"hang {event.call} {gpu}"


def _words(*words: object) -> str:
    return " ".join(map(str, words))
