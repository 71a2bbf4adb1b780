"""The scenario file: what a person writes to describe a node with GPUs. Strict: unknown keys and wrong types are errors.

```yaml
driver: {version: "550.54.15", cuda: "12.4"}     # leave it out for a node without driver
gpus:                                            # groups of equal boards, in NVML's order
  - model: NVIDIA H100 80GB HBM3                 # as NVML names it
    count: 8
    memory: 81559Mi                              # leave it out for a board without memory of its own
    compute: "9.0"
    device_id: "2330"                            # PCI, four hex digits; quote it, YAML reads digits as a number
    subsystem_id: "16c1"
    class: "0302"                                # 0302 3D controller (the default), 0300 VGA
    numa: [0, 0, 0, 0, 1, 1, 1, 1]               # one number for all, or one a GPU; left out, the host does not say
    pci: ["0000:1b:00.0", ...]                   # left out, addresses are made up; so is uuid; `none` for an SoC's own GPU
    mig: {mode: enabled, instances: [3g.40gb, 1c.3g.40gb]}   # of each GPU; left out, the board cannot MIG
nvlink: {nvswitch: true, switch_links: 12}       # of each GPU, 18 if left out; or peers: [{gpus: [0, 1], links: 4}]
pcie: {switch: [[0, 1], [2, 3]], switches: [[0, 1, 2, 3]]}   # GPUs below one; also board, host_bridge; else as numa says
fabric: {cluster_uuid: ..., clique: 7}           # left out, no GPU is attached
wsl: true                                        # left out, Linux drives the GPUs itself and sees them on the PCI bus
faults:                                          # what goes wrong, at seconds since the start
  - {at: 20, for: 15, gpu: 3, kind: lost}        # every call on that GPU answers GPU_IS_LOST
  - {at: 0, kind: unsupported, call: nvmlDeviceGetMemoryInfo}   # of all GPUs, or of the one that `gpu` names
  - {at: 60, for: 10, kind: driver_gone}         # NVML does not initialise: DRIVER_NOT_LOADED
  - {at: 9, for: 20, gpu: 1, kind: hang, call: nvmlDeviceGetName}   # that call does not return until the fault is over
  - {at: 5, for: 20, kind: fails, call: nvmlEventSetWait_v2, answer: UNKNOWN}   # that call answers so; nvmlInit_v2 is one, too
  - {at: 5, gpu: 0, kind: xid, code: 79}         # an event; NVML's other answers stay as they are
  - {at: 6, gpu: 7, kind: xid, code: 94, mig: 1}      # on the MIG device in that slot
  - {at: 7, gpu: 0, kind: xid, code: 13, times: 10000, per_second: 5000}   # a storm of events; left out, one
  - {at: 8, gpu: 2, kind: ecc, count: 3}         # so many uncorrectable ECC errors are counted; and one event
  - {at: 8, gpu: 2, kind: memory, state: remap-pending}   # or remap-failed, retirement-pending
  - {at: 8, for: 60, gpu: 2, kind: recovery, action: reset}   # what the driver says the GPU needs; else it says: none
  - {at: 9, gpu: 4, kind: throttle, brake: thermal}   # or power: clocks are kept down
  - {at: 9, for: 30, gpu: 5, kind: nvlink, count: 2}   # so many of its NVLinks are down
  - {at: 0, for: 40, kind: fabric, state: not-started} # the fabric manager is late; or in-progress, degraded-bandwidth, route-unhealthy
  - {at: 10, gpu: 7, kind: mig, instances: [1g.10gb, 1g.10gb]}   # cut anew, into other MIG devices; and one event
```
Without `for` a fault stays. A GPU without such faults is sound. There are no other kinds: one that did nothing would be a trap.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from node_core.domain.evidence import RecoveryAction

HexId = Annotated[str, Meta(pattern="^[0-9a-f]{4}$")]
PciText = Annotated[str, Meta(pattern="^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\\.[0-7]$")]
UuidText = Annotated[str, Meta(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
GpuUuidText = Annotated[str, Meta(pattern="^GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
TwoNumbers = Annotated[str, Meta(pattern="^[0-9]{1,2}\\.[0-9]{1,2}$")]
Index = Annotated[int, Meta(ge=0)]
Numa = Annotated[int, Meta(ge=0, le=1023)]
Seconds = Annotated[float, Meta(ge=0)]
Duration = Annotated[float, Meta(gt=0)]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class DriverFile(_Strict, frozen=True, kw_only=True):
    version: Annotated[str, Meta(min_length=1, max_length=80)]
    cuda: TwoNumbers | None = None


class MigFile(_Strict, frozen=True, kw_only=True):
    mode: Literal["enabled", "disabled"]
    instances: list[str] = []


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


class PeerFile(_Strict, frozen=True, kw_only=True):
    gpus: tuple[Index, Index]
    links: Annotated[int, Meta(ge=1, le=36)]


class NvLinkFile(_Strict, frozen=True, kw_only=True):
    """nvswitch: every GPU has its links to switches, so no two GPUs are linked directly. switch_links: so many of them."""

    nvswitch: bool = False
    switch_links: Annotated[int, Meta(ge=1, le=36)] | None = None
    peers: list[PeerFile] = []


class PcieFile(_Strict, frozen=True, kw_only=True):
    """What groups of GPUs have in common on the way of PCI; of two that are in several groups the nearest counts, in this order."""

    board: list[list[Index]] = []
    switch: list[list[Index]] = []
    switches: list[list[Index]] = []
    host_bridge: list[list[Index]] = []


class FabricFile(_Strict, frozen=True, kw_only=True):
    cluster_uuid: UuidText
    clique: Annotated[int, Meta(ge=0, lt=1 << 32)]


FaultKind = Literal[
    "lost",
    "unsupported",
    "driver_gone",
    "hang",
    "fails",
    "xid",
    "ecc",
    "memory",
    "recovery",
    "throttle",
    "mig",
    "nvlink",
    "fabric",
]
MemoryState = Literal["remap-pending", "remap-failed", "retirement-pending"]
FabricState = Literal["not-started", "in-progress", "degraded-bandwidth", "route-unhealthy"]
FailedAnswer = Literal[
    "UNINITIALIZED",
    "INVALID_ARGUMENT",
    "NOT_SUPPORTED",
    "NO_PERMISSION",
    "NOT_FOUND",
    "DRIVER_NOT_LOADED",
    "TIMEOUT",
    "LIBRARY_NOT_FOUND",
    "GPU_IS_LOST",
    "RESET_REQUIRED",
    "LIB_RM_VERSION_MISMATCH",
    "IN_USE",
    "UNKNOWN",
]
"""Codes of nvmlReturn_t."""


class FaultEvent(_Strict, frozen=True, kw_only=True):
    """at, for_: seconds. call: an NVML function. code: of an Xid; mig: the slot of a MIG device.

    A call with the kind `hang` does not return until the fault is over, for all GPUs or for the one that `gpu` names.
    times, per_second: so many events, at that rate.
    """

    at: Seconds
    kind: FaultKind
    for_: Duration | None = msgspec.field(default=None, name="for")
    gpu: Index | None = None
    call: str | None = None
    answer: FailedAnswer | None = None
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
        """now: seconds since the start."""
        return self.at <= now and (self.for_ is None or now < self.at + self.for_)


class ScenarioFile(_Strict, frozen=True, kw_only=True):
    driver: DriverFile | None = None
    gpus: list[GpuGroup] = []
    nvlink: NvLinkFile = NvLinkFile()
    pcie: PcieFile = PcieFile()
    fabric: FabricFile | None = None
    wsl: bool = False
    faults: list[FaultEvent] = []
