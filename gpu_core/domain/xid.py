"""Xids: the class of each number, and which Xids count on this node. PURE.

Source: NVIDIA, "Analyzing Xid Errors with the Xid Catalog", the edition for Ampere and newer GPUs that ends with Xid 172. For numbers that
the catalog calls unused: NVIDIA, "XID Errors". The table differs from the immediate action of the catalog in these cases:

- 109 has the class application, as in NVIDIA's device plugin: a driver that needs a reset reports a recovery action (field 230).
- 144 to 150 require a reset or nothing, depending on a code that only the kernel log contains. The table assumes a reset.
- 142 and 159 require NVIDIA's support, and for 166 to 170 the catalog has no action. The class is device.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import StrEnum

import msgspec

TABLE_VERSION = 2
"""Increased when a class changes."""


class XidClass(StrEnum):
    """The recovery that an Xid requires, the mildest first.

    ignore: none. application: the container is the cause or has to restart; the GPU stays in use. device: the GPU is not usable until no
    Xid has occurred for the hold-down. reset, reboot: of the GPU, of the node. replace: a person has to check the hardware.
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
        """Whether the GPU stays usable."""
        return self in (XidClass.IGNORE, XidClass.APPLICATION)


ACTIONS: Mapping[XidClass, str] = {
    XidClass.IGNORE: "no action",
    XidClass.APPLICATION: "restart the application; if the Xid occurs again, check the application",
    XidClass.DEVICE: "no action if the GPU returns by itself; otherwise drain the node and reset the GPU",
    XidClass.RESET: "drain the GPU and reset it (nvidia-smi --gpu-reset)",
    XidClass.REBOOT: "drain the node and reboot it",
    XidClass.REPLACE: "drain the node and check power and seating; replace the hardware if the Xid occurs again",
}


class Xid(msgspec.Struct, frozen=True, kw_only=True):
    """action: what an administrator does, if ACTIONS of the class is not specific enough."""

    number: int
    kind: XidClass
    description: str
    action: str | None = None

    @property
    def advice(self) -> str:
        return self.action or ACTIONS[self.kind]


_NVLINK = "drain the GPU and reset it; if the Xid occurs again, check the NVLink fabric and its cables"
_POLLED = "no immediate action: the driver reports if the GPU needs a reset"
_POWER_SMOOTHING = (
    "no action if the power supply tolerates load swings; otherwise check the GPU's temperature and plan a replacement"
)
_COPY_ENGINES = (39, 40, 41, 70, 71, 72, 75, 76, 77, 85, *range(126, 136))

_TABLE: Mapping[str, Mapping[str, Mapping[int, str | None] | Iterable[int]]] = {
    "ignore": {
        "Xid injected by a test": (14,),
        "driver firmware error": (37, 38),
        "page retirement or row remapping was recorded": {63: _POLLED},
        "vGPU start error": {78: "install matching versions of the vGPU software on host and guest"},
        "high single-bit ECC error rate": {92: "no immediate action; if the rate stays high, have the GPU checked"},
        "InfoROM write limit exceeded": {93: "clear the limit (nvflash --elsessionclear) at the next maintenance"},
        "SMBPBI test message": (106, 107),
        "NVLink remote translation error": (108,),
        "display error": range(111, 119),
        "corrected C2C link error": {121: "no action; a reset trains the link again"},
        "CUDA fast path error": (141,),
        "DLA error": (152, 153),
        "GPU recovery action changed": {154: _POLLED},
        "a resource could not be retired": {157: "no immediate action; if the Xid occurs again, have the GPU checked"},
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
        "faulty memory in the driver's own allocation": {168: "enable ECC, so that rows can be remapped, or reboot"},
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
        "unrecovered ECC error": (140,),
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
        "auxiliary power is not connected to the GPU board": {54: "connect the auxiliary power of the board, then boot"},
    },
}  # fmt: skip
"""Class -> description -> numbers, or number -> action."""

UNCONFIRMED = frozenset({42, 47, 56, 57, 58, 59, 61, 65, 73, 81, *range(111, 119), *range(122, 126)})
"""Numbers of older GPUs, which the catalog calls unused."""


def _read_table() -> Iterator[Xid]:
    for kind, rows in _TABLE.items():
        for description, numbers in rows.items():
            actions = numbers if isinstance(numbers, Mapping) else dict.fromkeys(numbers)
            for number, action in actions.items():
                yield Xid(number=number, kind=XidClass(kind), description=description, action=action)


XIDS: tuple[Xid, ...] = tuple(sorted(_read_table(), key=lambda xid: xid.number))

_KNOWN: Mapping[int, Xid] = {each.number: each for each in XIDS}


def xid_of(number: int) -> Xid:
    """The Xid of the table. An unknown number has the class device."""
    return _KNOWN.get(number) or Xid(number=number, kind=XidClass.DEVICE, description="an Xid that is not in the table")


class XidPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Which Xids count on this node.

    classes: overrides of the config file. The other fields: DP_DISABLE_HEALTHCHECKS and DP_ENABLE_HEALTHCHECKS.
    """

    classes: Mapping[int, XidClass] = msgspec.field(default_factory=dict)
    disabled: Collection[int] = frozenset()
    enabled: Collection[int] = frozenset()
    all_disabled: bool = False
    all_enabled: bool = False

    def classify(self, number: int) -> XidClass:
        """The class of an Xid. Enabled overrides disabled, a number overrides `all`, and the environment overrides the file.

        An enabled Xid has at least the class device.
        """
        usual = self.classes.get(number, xid_of(number).kind)
        if self.all_enabled or number in self.enabled:
            return XidClass.DEVICE if usual.is_harmless else usual
        if number in self.disabled or (self.all_disabled and number not in self.classes):
            return XidClass.IGNORE
        return usual
