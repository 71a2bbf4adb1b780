"""Xids: what each number means for the GPU, and which of them count on this node. PURE.

Source: NVIDIA, "XID Errors" and "Analyzing Xid Errors with the Xid Catalog"; where the two differ, the newer one counts. The six numbers
that NVIDIA's device plugin passes over by default stay applications' own business here.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

TABLE_VERSION = 1
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


def _xid(number: int, kind: str, what: str, action: str | None = None) -> Xid:
    return Xid(number=number, kind=XidClass(kind), what=what, action=action)


_NVLINK = "drain the GPU and reset it; if it comes again, check the NVLink fabric and its cables"
_POLLED = "nothing to do at once: the GPU says itself whether it needs a reset"
_FIRMWARE = "update the board's firmware when it is convenient"

XIDS: tuple[Xid, ...] = (
    _xid(8, "application", "GPU stopped processing"),
    _xid(11, "application", "invalid or corrupted push buffer stream"),
    _xid(13, "application", "graphics engine exception"),
    _xid(31, "application", "GPU memory page fault"),
    _xid(32, "application", "invalid or corrupted push buffer stream"),
    _xid(38, "device", "driver firmware error"),
    _xid(39, "application", "copy engine exception"),
    _xid(40, "application", "copy engine exception"),
    _xid(41, "application", "copy engine exception"),
    _xid(42, "application", "video processor exception"),
    _xid(43, "application", "GPU stopped processing"),
    _xid(44, "application", "graphics engine fault during context switch"),
    _xid(45, "application", "preemptive cleanup, due to previous errors"),
    _xid(46, "reset", "GPU stopped processing"),
    _xid(47, "application", "video processor exception"),
    _xid(48, "reset", "double bit ECC error"),
    _xid(54, "replace", "auxiliary power is not connected to the GPU board", "connect the board's power, then boot"),
    _xid(56, "device", "display engine error"),
    _xid(57, "reset", "error programming the video memory interface"),
    _xid(58, "reset", "unstable video memory interface detected"),
    _xid(59, "reset", "internal micro-controller error"),
    _xid(60, "application", "video processor exception"),
    _xid(61, "reset", "internal micro-controller breakpoint or warning"),
    _xid(62, "reset", "internal micro-controller halt"),
    _xid(63, "ignore", "page retirement or row remapping was recorded", _POLLED),
    _xid(64, "reset", "page retirement or row remapping could not be recorded"),
    _xid(65, "application", "video processor exception"),
    _xid(66, "application", "illegal access by driver"),
    _xid(67, "application", "illegal access by driver"),
    _xid(68, "application", "NVDEC0 exception"),
    _xid(69, "application", "graphics engine class error"),
    _xid(70, "application", "copy engine exception"),
    _xid(71, "application", "copy engine exception"),
    _xid(72, "application", "copy engine exception"),
    _xid(73, "application", "NVENC2 error"),
    _xid(74, "reset", "NVLink error", _NVLINK),
    _xid(75, "application", "copy engine exception"),
    _xid(76, "application", "copy engine exception"),
    _xid(77, "application", "copy engine exception"),
    _xid(78, "device", "vGPU start error"),
    _xid(79, "reboot", "GPU has fallen off the bus"),
    _xid(80, "device", "corrupted data sent to the GPU"),
    _xid(81, "device", "VGA subsystem error"),
    _xid(82, "application", "NVJPG0 error"),
    _xid(83, "application", "NVDEC1 error"),
    _xid(84, "application", "NVDEC2 error"),
    _xid(85, "application", "copy engine exception"),
    _xid(86, "application", "OFA exception"),
    _xid(88, "application", "NVDEC3 error"),
    _xid(89, "application", "NVDEC4 error"),
    _xid(92, "device", "high single-bit ECC error rate"),
    _xid(93, "ignore", "InfoROM wears out faster than it should", _FIRMWARE),
    _xid(94, "application", "contained memory error", "restart the application; the GPU remaps the memory at its next reset"),
    _xid(95, "reset", "uncontained memory error"),
    _xid(96, "application", "NVDEC5 error"),
    _xid(97, "application", "NVDEC6 error"),
    _xid(98, "application", "NVDEC7 error"),
    *(_xid(number, "application", f"NVJPG{number - 98} error") for number in range(99, 106)),
    _xid(109, "application", "context switch timeout"),
    _xid(110, "reset", "security fault"),
    *(_xid(number, "ignore", "display error") for number in range(111, 119)),
    _xid(119, "reset", "GSP RPC timeout"),
    _xid(120, "reset", "GSP error"),
    _xid(121, "ignore", "C2C link error that was corrected", "nothing to do; a reset trains the link anew"),
    _xid(122, "device", "SPI PMU RPC read failure"),
    _xid(123, "device", "SPI PMU RPC write failure"),
    _xid(124, "device", "SPI PMU RPC erase failure"),
    _xid(125, "device", "InfoROM filesystem failure"),
    _xid(136, "reset", "NVLink training failed", _NVLINK),
    _xid(137, "application", "NVLink FLA privilege error"),
    _xid(140, "reset", "ECC error that was not recovered"),
    _xid(143, "reset", "GPU initialization error"),
    *(
        _xid(number, "reset", f"NVLink {unit} error", _NVLINK)
        for number, unit in enumerate(("SAW", "RLW", "TLW", "TREX", "NVLPW_CTRL", "NETIR", "MSE"), start=144)
    ),
    _xid(151, "reset", "key rotation error"),
    _xid(154, "ignore", "GPU recovery action changed", _POLLED),
    _xid(155, "reset", "NVLink error defined by software", _NVLINK),
    _xid(156, "ignore", "a resource was retired", _POLLED),
    _xid(157, "reset", "a resource could not be retired"),
    _xid(158, "reset", "GPU fatal timeout"),
)  # fmt: skip

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
