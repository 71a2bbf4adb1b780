"""A scenario file describes a node with GPUs in YAML. Unknown keys and values of a wrong type are errors.

```yaml
driver: {version: "550.54.15", cuda: "12.4"}     # omit for a node without driver
gpus:                                            # groups of equal GPUs, in the order of NVML
  - model: NVIDIA H100 80GB HBM3                 # the name in NVML
    count: 8
    memory: 81559Mi                              # omit for a GPU without memory of its own
    compute: "9.0"
    device_id: "2330"                            # PCI device, four hex digits; in quotes, or YAML reads a number
    subsystem_id: "16c1"
    class: "0302"                                # 0302 is a 3D controller (default), 0300 a VGA controller
    numa: [0, 0, 0, 0, 1, 1, 1, 1]               # one NUMA node for all GPUs, or one for each; omit if the host reports none
    pci: ["0000:1b:00.0", ...]                   # omit for generated addresses; `none` for a GPU that is not on a PCI bus
    uuid: ["GPU-4f1a...", ...]                   # omit for generated UUIDs
    mig: {mode: enabled, instances: [3g.40gb, 1c.3g.40gb]}   # of each GPU; omit for a GPU without MIG
    use:                                         # of each GPU; omitted keys have the value of an idle GPU
      gpu: 87                                    # percent; also memory (time in which it is used), encoder, decoder
      sm: 61.5                                   # percent; also occupancy, tensor, dram, fp64, fp32, fp16 (from Hopper on)
      power: 512.5                               # watts; temperature, memory_temperature in C; sm_clock, memory_clock in MHz
      pcie_tx: 1200                              # MiB/s; also pcie_rx, nvlink_tx, nvlink_rx
      used: 61Gi                                 # default: the memory of all processes
      processes: [{pid: 4242, memory: 10Gi, sm: 35}, {pid: 4243, memory: 1Gi, mig: 1}]   # mig: the slot of the MIG device
nvlink: {nvswitch: true, switch_links: 12}       # links of each GPU, default 18; or peers: [{gpus: [0, 1], links: 4}]
pcie: {switch: [[0, 1], [2, 3]], switches: [[0, 1, 2, 3]]}   # groups below one ancestor; also board, host_bridge; default: by NUMA node
fabric: {cluster_uuid: ..., clique: 7}           # omit if no GPU is attached to a fabric
mig_state: /run/gpunode/mig.json                 # see below; omit for MIG changes that end with the process
wsl: true                                        # Windows owns the GPUs, and Linux sees none on the PCI bus
faults:                                          # at: seconds since the start
  - {at: 20, for: 15, gpu: 3, kind: lost}        # all calls for this GPU fail with GPU_IS_LOST
  - {at: 0, kind: unsupported, call: nvmlDeviceGetMemoryInfo}   # for all GPUs, or for one GPU with `gpu`
  - {at: 60, for: 10, kind: driver_gone}         # NVML does not initialize: DRIVER_NOT_LOADED
  - {at: 9, for: 20, gpu: 1, kind: hang, call: nvmlDeviceGetName}   # the call returns when the fault ends
  - {at: 5, for: 20, kind: fails, call: nvmlEventSetWait_v2, result: UNKNOWN}   # the call fails with this error; nvmlInit_v2 also can
  - {at: 5, gpu: 0, kind: xid, code: 79}         # an Xid event; other results of NVML do not change
  - {at: 6, gpu: 7, kind: xid, code: 94, mig: 1} # an Xid event of the MIG device in this slot
  - {at: 7, gpu: 0, kind: xid, code: 13, times: 10000, per_second: 5000}   # many events; default: one event
  - {at: 8, gpu: 2, kind: ecc, count: 3}         # the number of uncorrectable ECC errors, and one event
  - {at: 8, gpu: 2, kind: memory, state: remap-pending}   # or remap-failed, retirement-pending
  - {at: 8, for: 60, gpu: 2, kind: recovery, action: reset}   # the recovery action of the driver; without the fault: none
  - {at: 9, gpu: 4, kind: throttle, brake: thermal}   # or power: the clocks are reduced
  - {at: 9, for: 30, gpu: 5, kind: nvlink, count: 2}   # the number of NVLinks that are down
  - {at: 0, for: 40, kind: fabric, state: not-started}   # or in-progress, degraded-bandwidth, route-unhealthy
  - {at: 10, gpu: 7, kind: mig, instances: [1g.10gb, 1g.10gb]}   # new MIG devices, and one event
```
A fault without `for` does not end. A GPU without faults is healthy.

NVML calls can change the MIG mode and the instances of simulated GPUs, by the rules of the driver. Each change is an event. A fault of the
kind `mig` replaces the changes while it is active. `mig_state` is the absolute path of a file with the changes, which all processes of the
node share; each of them needs write access to the folder. If the file is removed, the GPUs are as the scenario states, as after a reboot
of the node.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gpu_core.domain.evidence import RecoveryAction

HexId = Annotated[str, Meta(pattern="^[0-9a-f]{4}$", description="four hex digits in lower case, such as '20b0'")]
PciText = Annotated[
    str,
    Meta(
        pattern="^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\\.[0-7]$",
        description="a PCI address in lower case, such as 0000:3b:00.0",
    ),
]
_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
UuidText = Annotated[str, Meta(pattern=f"^{_UUID}$", description="a UUID in lower case")]
GpuUuidText = Annotated[str, Meta(pattern=f"^GPU-{_UUID}$", description="GPU- and a UUID in lower case")]
TwoNumbers = Annotated[
    str, Meta(pattern="^[0-9]{1,2}\\.[0-9]{1,2}$", description="two numbers with a dot in quotes, such as '12.4'")
]
AbsolutePath = Annotated[str, Meta(pattern=r"^/[^\x00]*[^/\x00]$", description="an absolute path")]
Index = Annotated[int, Meta(ge=0)]
Numa = Annotated[int, Meta(ge=0, le=1023)]
Seconds = Annotated[float, Meta(ge=0)]
Duration = Annotated[float, Meta(gt=0)]
WholePercent = Annotated[int, Meta(ge=0, le=100)]
Percent = Annotated[float, Meta(ge=0, le=100)]
Celsius = Annotated[int, Meta(ge=0, le=200)]
Megahertz = Annotated[int, Meta(ge=0, le=100_000)]
Rate = Annotated[float, Meta(ge=0, le=10_000_000)]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class DriverFile(_Strict, frozen=True, kw_only=True):
    version: Annotated[str, Meta(min_length=1, max_length=80)]
    cuda: TwoNumbers | None = None


class MigFile(_Strict, frozen=True, kw_only=True):
    mode: Literal["enabled", "disabled"]
    instances: list[str] = []


class ProcessFile(_Strict, frozen=True, kw_only=True):
    """pid: in the PID namespace of the host. sm: percent of the multiprocessors. mig: the slot of the MIG device."""

    pid: Annotated[int, Meta(ge=1, lt=1 << 22)]
    memory: str = "0"
    sm: Annotated[int, Meta(ge=0, le=100)] = 0
    mig: Index | None = None


class UseFile(_Strict, frozen=True, kw_only=True):
    """See above. Units: percent, watts, degrees Celsius, MHz, MiB/s."""

    gpu: WholePercent = 0
    memory: WholePercent = 0
    encoder: WholePercent = 0
    decoder: WholePercent = 0
    sm: Percent = 0.0
    occupancy: Percent = 0.0
    tensor: Percent = 0.0
    dram: Percent = 0.0
    fp64: Percent = 0.0
    fp32: Percent = 0.0
    fp16: Percent = 0.0
    power: Annotated[float, Meta(ge=0, le=100_000)] | None = None
    temperature: Celsius | None = None
    memory_temperature: Celsius | None = None
    sm_clock: Megahertz = 345
    memory_clock: Megahertz = 1593
    pcie_tx: Rate = 0.0
    pcie_rx: Rate = 0.0
    nvlink_tx: Rate = 0.0
    nvlink_rx: Rate = 0.0
    used: str | None = None
    processes: list[ProcessFile] = []


class GpuGroup(_Strict, frozen=True, kw_only=True):
    model: Annotated[str, Meta(min_length=1, max_length=96)]
    count: Annotated[int, Meta(ge=1, le=64)]
    device_id: HexId | None = None
    subsystem_id: HexId = "0000"
    memory: str | None = None
    compute: TwoNumbers | None = None
    class_: Literal["0302", "0300"] = msgspec.field(default="0302", name="class")
    numa: Numa | list[Numa] | None = None
    uuid: list[GpuUuidText] | None = None
    pci: list[PciText] | Literal["none"] | None = None
    mig: MigFile | None = None
    use: UseFile = UseFile()


class PeerFile(_Strict, frozen=True, kw_only=True):
    gpus: tuple[Index, Index]
    links: Annotated[int, Meta(ge=1, le=36)]


class NvLinkFile(_Strict, frozen=True, kw_only=True):
    """nvswitch: all links of each GPU lead to NVSwitches. switch_links: the number of these links."""

    nvswitch: bool = False
    switch_links: Annotated[int, Meta(ge=1, le=36)] | None = None
    peers: list[PeerFile] = []


class PcieFile(_Strict, frozen=True, kw_only=True):
    """Groups of GPUs with a common PCI ancestor. If two GPUs are in several groups, the first group in this order counts."""

    board: list[list[Index]] = []
    switch: list[list[Index]] = []
    switches: list[list[Index]] = []
    host_bridge: list[list[Index]] = []


class FabricFile(_Strict, frozen=True, kw_only=True):
    cluster_uuid: UuidText
    clique: Annotated[int, Meta(ge=0, lt=1 << 32)]


FaultKind = Literal[
    "lost", "unsupported", "driver_gone", "hang", "fails", "xid", "ecc", "memory", "recovery", "throttle", "mig", "nvlink", "fabric"
]  # fmt: skip
MemoryState = Literal["remap-pending", "remap-failed", "retirement-pending"]
FabricState = Literal["not-started", "in-progress", "degraded-bandwidth", "route-unhealthy"]
FailedResult = Literal[
    "UNINITIALIZED", "INVALID_ARGUMENT", "NOT_SUPPORTED", "NO_PERMISSION", "NOT_FOUND", "DRIVER_NOT_LOADED", "TIMEOUT",
    "LIBRARY_NOT_FOUND", "GPU_IS_LOST", "RESET_REQUIRED", "LIB_RM_VERSION_MISMATCH", "IN_USE", "INSUFFICIENT_RESOURCES",
    "UNKNOWN",
]  # fmt: skip
"""The names of nvmlReturn_t."""


class FaultEvent(_Strict, frozen=True, kw_only=True):
    """at, for_: seconds. gpu: None for all GPUs. call: an NVML function. result: its error. code: of an Xid. mig: the slot of a MIG device.

    times, per_second: the number and the rate of the events.
    """

    at: Seconds
    kind: FaultKind
    for_: Duration | None = msgspec.field(default=None, name="for")
    gpu: Index | None = None
    call: str | None = None
    result: FailedResult | None = None
    code: Annotated[int, Meta(ge=1, lt=1 << 32)] | None = None
    mig: Index | None = None
    times: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    per_second: Annotated[float, Meta(gt=0)] | None = None
    count: Annotated[int, Meta(ge=1, lt=1 << 32)] | None = None
    state: MemoryState | FabricState | None = None
    action: RecoveryAction | None = None
    brake: Literal["thermal", "power"] | None = None
    instances: list[str] | None = None

    def is_active(self, now: float) -> bool:
        """Returns whether the fault is active at `now` seconds since the start."""
        return self.at <= now and (self.for_ is None or now < self.at + self.for_)


class ScenarioFile(_Strict, frozen=True, kw_only=True):
    driver: DriverFile | None = None
    gpus: list[GpuGroup] = []
    nvlink: NvLinkFile = NvLinkFile()
    pcie: PcieFile = PcieFile()
    fabric: FabricFile | None = None
    wsl: bool = False
    mig_state: AbsolutePath | None = None
    faults: list[FaultEvent] = []
