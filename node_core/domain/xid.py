"""Xids: what each number means for the GPU, and which of them count on this node. PURE.

Source: NVIDIA, "Analyzing Xid Errors with the Xid Catalog", the edition for Ampere and newer GPUs that ends with Xid 172; for numbers that
it calls unused, "XID Errors". Where we go another way than its immediate action, and why:

- 109 stays an application's own business, as with NVIDIA's device plugin: a driver that wants a reset for it says so (field 230).
- 144 to 150 ask for a reset or for nothing by a code that only the kernel's log has: until the driver says which, we take the worst.
- 142 and 159 are for support to look at, and 166 to 170 say nothing: until it was quiet for a while the GPU is out of use.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

TABLE_VERSION = 2
"""Grows when a class changes."""


class XidClass(StrEnum):
    """What an Xid asks for. Those that come later take a GPU away for longer.

    ignore: nothing. application: the container that it happened to is at fault or has to start again; the GPU goes on. device: the GPU
    is out of use until it was quiet for a while. reset, reboot: it needs that. replace: somebody has to look at the hardware.
    """

    IGNORE = "ignore"
    APPLICATION = "application"
    DEVICE = "device"
    RESET = "reset"
    REBOOT = "reboot"
    REPLACE = "replace"

    @property
    def rank(self) -> int:
        return tuple(XidClass).index(self)

    @property
    def is_harmless(self) -> bool:
        """Whether the GPU stays in use."""
        return self in (XidClass.IGNORE, XidClass.APPLICATION)


ACTIONS: Mapping[XidClass, str] = {
    XidClass.IGNORE: "nothing to do",
    XidClass.APPLICATION: "restart the application; if it comes again, look for a fault of its own",
    XidClass.DEVICE: "nothing to do if it comes back by itself; else drain the node and reset the GPU",
    XidClass.RESET: "drain the GPU and reset it (nvidia-smi --gpu-reset)",
    XidClass.REBOOT: "drain the node and reboot it",
    XidClass.REPLACE: "drain the node, check power and seating, and have the hardware replaced if it comes again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Xid:
    """what: in words. action: what a person does about it, where the class does not say it all."""

    number: int
    kind: XidClass
    what: str
    action: str | None = None

    @property
    def advice(self) -> str:
        return self.action or ACTIONS[self.kind]


_NVLINK = "drain the GPU and reset it; if it comes again, check the NVLink fabric and its cables"
_POLLED = "nothing to do at once: the GPU says itself whether it needs a reset"
_POWER_SMOOTHING = "nothing to do where power may swing; else look at the GPU's temperature, and expect to replace it"
_COPY_ENGINES = (39, 40, 41, 70, 71, 72, 75, 76, 77, 85, *range(126, 136))

_TABLE: Mapping[str, Mapping[str, Mapping[int, str | None] | Iterable[int]]] = {
    "ignore": {
        "injected by a test": (14,),
        "driver firmware error": (37, 38),
        "page retirement or row remapping was recorded": {63: _POLLED},
        "vGPU start error": {78: "bring host and guest to versions of the vGPU software that go together"},
        "high single-bit ECC error rate": {92: "nothing to do; if it stays, have the GPU checked when it is convenient"},
        "InfoROM was written more often than it may be": {93: "lift its limit (nvflash --elsessionclear) when it is convenient"},
        "SMBPBI test message": (106, 107),
        "NVLink remote translation error": (108,),
        "display error": range(111, 119),
        "C2C link error that was corrected": {121: "nothing to do; a reset trains the link anew"},
        "CUDA fast path error": (141,),
        "DLA error": (152, 153),
        "GPU recovery action changed": {154: _POLLED},
        "a resource could not be retired": {157: "nothing to do at once; if it comes again, have the GPU checked"},
        "a channel was retired": (160,),
        "a channel could not be retired": (161,),
        "power smoothing works again": (162,),
        "power smoothing does not work": {163: _POWER_SMOOTHING},
        "power smoothing is nearly worn out": {164: _POWER_SMOOTHING},
        "power smoothing is worn out": {165: _POWER_SMOOTHING},
    },
    "application": {
        "GPU stopped processing": (8, 43),
        "invalid or corrupted push buffer stream": (11, 25, 32),
        "graphics engine exception": (13,),
        "GPU memory page fault": (31,),
        "copy engine exception": _COPY_ENGINES,
        "video processor exception": (42, 47, 60, 65),
        "graphics engine fault during context switch": (44,),
        "preemptive cleanup, due to previous errors": (45,),
        "illegal access by driver": (66, 67),
        "video decoder exception": (68, 83, 84, 88, 89, 96, 97, 98),
        "graphics engine class error": (69,),
        "video encoder exception": (73,),
        "corrupted data sent to the GPU": (80,),
        "JPEG engine exception": (82, *range(99, 106)),
        "optical flow engine exception": (86, 139),
        "contained memory error": {94: "restart the application; the GPU remaps the memory at its next reset"},
        "context switch timeout": (109,),
        "NVLink privilege error": (137,),
    },
    "device": {
        "display engine error": (56,),
        "VGA subsystem error": (81,),
        "SPI access failure": (122, 123, 124),
        "InfoROM filesystem failure": (125,),
        "video encoder exception": (142,),
        "C2C protocol error": (159,),
        "NVLink encryption error": (166, 170),
        "PCIe fatal timeout": (167,),
        "memory of the driver's own is faulty": {168: "enable ECC, so that rows can be remapped, or boot anew"},
        "security micro-controller halt": (169,),
    },
    "reset": {
        "GPU stopped processing": (46,),
        "double bit ECC error": (48,),
        "error programming the video memory interface": (57,),
        "unstable video memory interface detected": (58,),
        "internal micro-controller error": (59,),
        "internal micro-controller breakpoint or warning": (61,),
        "internal micro-controller halt": (62,),
        "page retirement or row remapping could not be recorded": (64,),
        "NVLink error": {74: _NVLINK, 155: _NVLINK, **dict.fromkeys(range(144, 151), _NVLINK)},
        "uncontained memory error": (95,),
        "security fault": (110,),
        "GSP RPC timeout": (119,),
        "GSP error": (120,),
        "NVLink training failed": {136: _NVLINK},
        "ECC error that was not recovered": (140,),
        "GPU initialization error": (143,),
        "a resource was retired": (156,),
        "GPU fatal timeout": (158,),
        "uncorrectable error in DRAM": (171,),
        "uncorrectable error in SRAM": (172,),
    },
    "reboot": {
        "GPU has fallen off the bus": (79,),
        "key rotation error": {151: "restart the virtual machine, or drain the node and reboot it"},
    },
    "replace": {
        "auxiliary power is not connected to the GPU board": {54: "connect the board's power, then boot"},
    },
}  # fmt: skip
"""Class -> what -> its numbers; with what a person does, where the class does not say it all."""

UNCONFIRMED = frozenset({42, 47, 56, 57, 58, 59, 61, 65, 73, 81, *range(111, 119), *range(122, 126)})
"""Unused, says the catalog that was read; they are of older GPUs."""


def _read_table() -> Iterator[Xid]:
    for kind, rows in _TABLE.items():
        for what, numbers in rows.items():
            actions = numbers if isinstance(numbers, Mapping) else dict.fromkeys(numbers)
            for number, action in actions.items():
                yield Xid(number=number, kind=XidClass(kind), what=what, action=action)


XIDS: tuple[Xid, ...] = tuple(sorted(_read_table(), key=lambda xid: xid.number))

_KNOWN: Mapping[int, Xid] = {each.number: each for each in XIDS}


def xid_of(number: int) -> Xid:
    """One that the table does not have takes the GPU out of use until it was quiet for a while."""
    return _KNOWN.get(number) or Xid(number=number, kind=XidClass.DEVICE, what="an Xid that is not in the table")


@dataclass(frozen=True, slots=True, kw_only=True)
class XidPolicy:
    """Which Xids count on this node. classes: the config file's. The other four: of DP_DISABLE_HEALTHCHECKS and DP_ENABLE_HEALTHCHECKS."""

    classes: Mapping[int, XidClass] = field(default_factory=dict)
    disabled: Collection[int] = frozenset()
    enabled: Collection[int] = frozenset()
    all_disabled: bool = False
    all_enabled: bool = False

    def kind(self, number: int) -> XidClass:
        """What is enabled wins over what is disabled, a number over `all`, and the environment over the file. Enabled means that it
        takes the GPU away, at least until it was quiet for a while.
        """
        usual = self.classes.get(number, xid_of(number).kind)
        if self.all_enabled or number in self.enabled:
            return XidClass.DEVICE if usual.is_harmless else usual
        if number in self.disabled or (self.all_disabled and number not in self.classes):
            return XidClass.IGNORE
        return usual
