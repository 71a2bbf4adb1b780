"""A scenario as the C library reads it, one fact a line; and the files of the host that go with it.

```
init CODE                                 what nvmlInit answers; left out, success
driver VERSION / cuda NUMBER              0: not supported
gpu MINOR UUID BUS_ID BYTES MAJOR MINOR MIG_CAPABLE MIG_ENABLED MAX_MIG NAME     -1, or - for BUS_ID: not supported
mig GPU SLOT UUID GI CI GI_PROFILE CI_PROFILE MIB SM GI_SLICES CI_SLICES COPY DEC ENC JPEG OFA NAME
link GPU TYPE BUS_ID                      an active NVLink and where it leads: TYPE is 0 for a GPU, 2 for a switch
fabric GPU CLUSTER_HEX CLIQUE STATE HEALTH_MASK      left out, the GPU knows no fabric
near GPU GPU LEVEL                        what the two have in common on PCI: nvmlGpuTopologyLevel_t; left out, not supported
fault FUNCTION GPU|* CODE                 what that function answers; FUNCTION may be * and may lack its version suffix
hang FUNCTION GPU|*                       that function does not return
state GPU RECOVERY_ACTION REMAP_PENDING REMAP_FAILED RETIREMENT_PENDING UNCORRECTED CLOCKS_REASONS     left out, all 0
event GPU SECONDS TYPE DATA GI CI TIMES PER_SECOND     at seconds since nvmlInit, and so many at that rate; GI and CI may be -1
```
"""

import itertools
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from node_core.host.discovery.platform import DXG, TEGRA_RELEASE, is_integrated
from node_core.host.nvml.api import FabricHealth
from node_core.simulate.faults import failed_answer
from node_core.simulate.health import SimulatedHealth, health_at, occurrences
from node_core.simulate.mig_profiles import MAX_INSTANCES
from node_core.simulate.scenario import NVIDIA, Scenario, SimulatedGpu, SimulatedMig
from node_core.simulate.scenario_checks import INIT
from node_core.simulate.scenario_file import FaultEvent

VARIABLE = "GPUNODE_NVML_SCENARIO"
SWITCH_BUS_ID = "0000FFFF:00:00.0"
"""Of every switch; no GPU is at this address."""
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
    "UNKNOWN": 999,
}
"""Numbers of nvmlReturn_t."""


def render_lines(scenario: Scenario, *, now: float = 0.0, more: tuple[str, ...] = ()) -> str:
    """The scenario as it is at `now` seconds; its events stay at their times, counted from then. more: lines to put at the end."""
    return "".join(f"{line}\n" for line in (*_lines(scenario, now), *more))


def write_host_root(folder: Path, scenario: Scenario) -> Path:
    """The machine type, sysfs of the scenario's PCI functions, what tells WSL and a Tegra. Returns the folder."""
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
    elif (answer := failed_answer(scenario, now, gpu=None, call=INIT)) is not None:
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
        yield from _fabric_lines(gpu, health.fabric)
    for one, other in itertools.combinations(gpus, 2):
        if (level := scenario.common_ancestor(one, other)) is not None:
            yield _words("near", one.index, other.index, level)
    for event in sorted(active, key=lambda each: each.kind != "lost"):  # on a lost GPU every call says so
        yield from _rule(event)
    for event in scenario.faults:
        yield from _event_lines(scenario, event, now)


def _gpu_line(gpu: SimulatedGpu) -> str:
    memory = -1 if gpu.memory_bytes is None else gpu.memory_bytes
    compute = (-1, -1) if gpu.compute is None else (gpu.compute.major, gpu.compute.minor)
    mig = (int(gpu.mig_capable), int(gpu.mig_enabled), MAX_INSTANCES if gpu.mig_capable else 0)
    return _words("gpu", gpu.index, gpu.uuid, gpu.bus_id or "-", memory, *compute, *mig, gpu.model)


def _gpu_parts(gpu: SimulatedGpu) -> Iterator[str]:
    for mig in gpu.mig_devices:
        yield _mig_line(gpu, mig)
    for remote in gpu.links.remotes:
        yield f"link {gpu.index} 0 {remote}"
    for _ in range(gpu.links.switched):
        yield f"link {gpu.index} 2 {SWITCH_BUS_ID}"


def _fabric_lines(gpu: SimulatedGpu, health: FabricHealth | None) -> Iterator[str]:
    if health is not None:
        cluster, clique = (gpu.fabric.cluster_uuid.replace("-", ""), gpu.fabric.clique) if gpu.fabric else ("0" * 32, 0)
        yield _words("fabric", gpu.index, cluster, clique, health.state, health.mask)


def _state_line(gpu: SimulatedGpu, health: SimulatedHealth) -> str:
    rows = health.remapped_rows
    memory = (int(rows.pending), int(rows.failed), int(health.retired_pages_pending), health.uncorrected_ecc_errors)
    return _words("state", gpu.index, health.recovery_action, *memory, health.clocks_event_reasons)


def _event_lines(scenario: Scenario, fault: FaultEvent, now: float) -> Iterator[str]:
    """All that the fault tells; a storm of Xids is one line."""
    for event in islice(occurrences(scenario, fault), 1 if fault.kind == "xid" else None):
        instances = (-1 if each is None else each for each in (event.gpu_instance, event.compute_instance))
        what = (event.gpu, f"{event.at - now:.6f}", int(event.type), event.data, *instances)
        yield _words("event", *what, fault.times or 1, fault.per_second or 1)


def _mig_line(gpu: SimulatedGpu, mig: SimulatedMig) -> str:
    has = mig.instance.attributes
    slices = (has.gpu_instance_slices, has.compute_instance_slices)
    engines = (has.copy_engines, has.decoders, has.encoders, has.jpeg_engines, has.ofa_engines)
    profile = (mig.instance.profile.number, mig.instance.compute_profile)
    ids = (gpu.index, mig.slot, mig.uuid, mig.gpu_instance, mig.compute_instance, *profile)
    name = f"{gpu.model} MIG {mig.instance.name}"
    return _words("mig", *ids, has.memory_mib, has.multiprocessors, *slices, *engines, name)


def _rule(event: FaultEvent) -> Iterator[str]:
    gpu = "*" if event.gpu is None else event.gpu
    if event.kind == "lost":
        yield f"fault * {gpu} {CODES['GPU_IS_LOST']}"
    elif event.kind == "unsupported":
        yield f"fault {event.call} {gpu} {CODES['NOT_SUPPORTED']}"
    elif event.kind == "fails" and event.call != INIT:
        yield f"fault {event.call} {gpu} {CODES[event.answer or 'UNKNOWN']}"
    elif event.kind == "hang":
        yield f"hang {event.call} {gpu}"


def _words(*words: object) -> str:
    return " ".join(map(str, words))
