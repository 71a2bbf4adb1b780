"""A scenario as the C library reads it, one fact a line; and the files of the host that go with it.

```
init CODE                                 what nvmlInit answers; left out, success
driver VERSION / cuda NUMBER              0: not supported
gpu MINOR UUID BUS_ID BYTES MAJOR MINOR MIG_CAPABLE MIG_ENABLED MAX_MIG NAME     -1, or - for BUS_ID: not supported
mig GPU SLOT UUID GI CI GI_PROFILE CI_PROFILE MIB SM GI_SLICES CI_SLICES COPY DEC ENC JPEG OFA NAME
link GPU TYPE BUS_ID                      an active NVLink and where it leads: TYPE is 0 for a GPU, 2 for a switch
fabric GPU CLUSTER_HEX CLIQUE
fault FUNCTION GPU|* CODE                 what that function answers; FUNCTION may be * and may lack its version suffix
hang FUNCTION GPU|*                       that function does not return
xid GPU SECONDS CODE                      an event, at seconds since nvmlInit
```
"""

from collections.abc import Iterator
from pathlib import Path

from node_core.host.discovery.platform import DXG, TEGRA_RELEASE, is_integrated
from node_core.simulate.mig_profiles import MAX_INSTANCES
from node_core.simulate.scenario import NVIDIA, Scenario, SimulatedGpu, SimulatedMig
from node_core.simulate.scenario_file import FaultEvent

VARIABLE = "GPUNODE_NVML_SCENARIO"
SWITCH_BUS_ID = "0000FFFF:00:00.0"
"""Of every switch; no GPU is at this address."""
CONFIG_SPACE = 256
"""Bytes of a function's PCI configuration space, as a privileged process reads it."""
LIBRARY_NOT_FOUND, DRIVER_NOT_LOADED, GPU_IS_LOST, NOT_SUPPORTED = 12, 9, 15, 3


def render_lines(scenario: Scenario, *, now: float = 0.0, more: tuple[str, ...] = ()) -> str:
    """The scenario as it is at `now` seconds; its XIDs stay at their times, counted from then. more: lines to put at the end."""
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
        yield f"init {LIBRARY_NOT_FOUND}"
        return
    if any(event.kind == "driver_gone" for event in active):
        yield f"init {DRIVER_NOT_LOADED}"
    cuda = scenario.driver.cuda
    yield f"driver {scenario.driver.version}"
    yield f"cuda {1000 * cuda.major + 10 * cuda.minor if cuda else 0}"
    yield from map(_gpu_line, scenario.gpus)
    for gpu in scenario.gpus:
        yield from _gpu_parts(gpu)
    for event in sorted(active, key=lambda each: each.kind != "lost"):  # on a lost GPU every call says so
        yield from _rule(event)
    for event in sorted((event for event in scenario.faults if event.kind == "xid"), key=lambda each: each.at):
        yield f"xid {event.gpu} {event.at - now:.3f} {event.code}"


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
    if gpu.fabric is not None:
        yield f"fabric {gpu.index} {gpu.fabric.cluster_uuid.replace('-', '')} {gpu.fabric.clique}"


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
        yield f"fault * {gpu} {GPU_IS_LOST}"
    elif event.kind == "unsupported":
        yield f"fault {event.call} {gpu} {NOT_SUPPORTED}"
    elif event.kind == "hang":
        yield f"hang {event.call} {gpu}"


def _words(*words: object) -> str:
    return " ".join(map(str, words))
