"""Decodes CPUID registers of x86 processors. PURE. Sources: Intel SDM volume 2A, AMD64 APM volume 3."""

import re
import struct
from collections.abc import Mapping

import msgspec

from nfd_lite.cpu.cpuid_flags import EAX, EBX, ECX, EDX, FIXED_COUNTERS, FLAG_BITS, MICROARCHITECTURE_LEVELS

Registers = tuple[int, int, int, int]
"""EAX, EBX, ECX, EDX, unsigned."""
Leaves = Mapping[tuple[int, int], Registers]
"""(leaf, subleaf) -> registers, only of leaves that the processor supports."""

_NOTHING: Registers = (0, 0, 0, 0)
_YMM_STATE = 0x06
_ZMM_STATE = 0xE6
NO_HYPERVISOR = "none"
UNKNOWN_VENDOR = "VendorUnknown"

_VENDORS = {
    "GenuineIntel": "Intel",
    "AuthenticAMD": "AMD",
    "AMDisbetter!": "AMD",
    "HygonGenuine": "Hygon",
    "CentaurHauls": "VIA",
    "VIA VIA VIA ": "VIA",
    "GenuineTMx86": "Transmeta",
    "TransmetaCPU": "Transmeta",
    "Geode by NSC": "NSC",
    "SiS SiS SiS ": "SiS",
    "Vortex86 SoC": "SiS",
    "RiseRiseRise": "SiS",
    "Genuine  RDC": "RDC",
}
_HYPERVISORS = {
    "KVMKVMKVM": "kvm",
    "Linux KVM Hv": "kvm",
    "TCGTCGTCGTCG": "qemu",
    "Microsoft Hv": "msvm",
    "VMwareVMware": "vmware",
    "XenVMMXenVMM": "xenhvm",
    "bhyve bhyve ": "bhyve",
    "ACRNACRNACRN": "acrn",
    "QNXQVMBSQG": "qnx",
    "SRESRESRESRE": "sre",
    "Apple VZ": "apple",
}


class CpuidDump(msgspec.Struct, frozen=True, kw_only=True):
    """xcr0: extended control register 0; 0 if the operating system has not enabled XSAVE."""

    leaves: Leaves
    xcr0: int = 0

    def get(self, leaf: int, subleaf: int = 0) -> Registers:
        return self.leaves.get((leaf, subleaf), _NOTHING)


class CpuInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded processor. family, model: as lscpu shows them on x86. hypervisor: `none` if the processor itself reports bare metal;
    None if the processor does not report hypervisors.

    method: how the processor was read. rdt: names of Resource Director Technology features. base_mhz: CPUID leaf 0x16; 0 if unknown.
    epc_bytes: size of the SGX enclave page cache.
    """

    arch: str
    method: str
    vendor: str = UNKNOWN_VENDOR
    family: str = "0"
    model: str = "0"
    hypervisor: str | None = None
    flags: frozenset[str] = msgspec.field(default_factory=frozenset)
    rdt: frozenset[str] = msgspec.field(default_factory=frozenset)
    avx10_version: int | None = None
    epc_bytes: int = 0
    base_mhz: int = 0


def decode_x86(dump: CpuidDump, *, method: str) -> CpuInfo:
    flags = decode_flags(dump)
    family, model = decode_family_model(dump)
    return CpuInfo(
        arch="x86_64",
        method=method,
        vendor=decode_vendor(dump),
        family=str(family),
        model=str(model),
        hypervisor=decode_hypervisor(dump),
        flags=flags,
        rdt=decode_rdt(dump),
        avx10_version=(dump.get(0x24)[EBX] & 0xFF or None) if "AVX10" in flags else None,
        epc_bytes=sum(_epc_section(dump, subleaf) for subleaf in range(2, 10)) if "SGX" in flags else 0,
        base_mhz=dump.get(0x16)[EAX] & 0xFFFF,
    )


def decode_vendor(dump: CpuidDump) -> str:
    _, ebx, ecx, edx = dump.get(0)
    return _VENDORS.get(_text(ebx, edx, ecx), UNKNOWN_VENDOR)


def decode_family_model(dump: CpuidDump) -> tuple[int, int]:
    """Returns the display family and the display model from leaf 1."""
    eax = dump.get(1)[EAX]
    family, model = eax >> 8 & 0xF, eax >> 4 & 0xF
    if family in (0x6, 0xF):
        model += (eax >> 16 & 0xF) << 4
    return (family + (eax >> 20 & 0xFF) if family == 0xF else family), model


def decode_hypervisor(dump: CpuidDump) -> str | None:
    if (1, 0) not in dump.leaves:
        return None
    if not dump.get(1)[ECX] >> 31:
        return NO_HYPERVISOR
    text = _text(*dump.get(0x40000000)[1:])
    return _HYPERVISORS.get(text) or clean_name(text) or "unknown"


def clean_name(text: str) -> str:
    """Replaces characters that are not valid in a label value with `_`, and removes `-_.` from both ends."""
    return re.sub(r"[^-A-Za-z0-9_.]", "_", text).strip("-_.")


def decode_flags(dump: CpuidDump) -> frozenset[str]:
    """Returns the names of all flags that are set, including X86_64_V1 to X86_64_Vn."""
    conditions = _conditions(dump)
    set_bits = [bit for bit in FLAG_BITS if dump.get(bit.leaf, bit.subleaf)[bit.register] >> bit.bit & 1]
    present = frozenset[str]()
    # A requirement can have requirements (AVX2 <- AVX <- XSAVE), so repeat until nothing is added.
    while (
        more := present | {bit.name for bit in set_bits if present.union(conditions).issuperset(bit.needs)}
    ) != present:
        present = more
    present |= _special_flags(dump, present)
    return present | microarchitecture_levels(present)


def _conditions(dump: CpuidDump) -> frozenset[str]:
    saves = dump.get(1)[ECX] >> 26 & 0b11 == 0b11
    states = {"YMM": _YMM_STATE, "ZMM": _ZMM_STATE}
    names = {name for name, mask in states.items() if saves and dump.xcr0 & mask == mask}
    return frozenset(names | ({"AMD"} if decode_vendor(dump) == "AMD" else set()))


def _special_flags(dump: CpuidDump, present: frozenset[str]) -> frozenset[str]:
    """Returns the flags that depend on more than one bit."""
    vendor, (family, model) = decode_vendor(dump), decode_family_model(dump)
    conditions = {
        "HTT": vendor in {"Intel", "AMD"} and bool(dump.get(1)[EDX] >> 28 & 1) and _threads_per_core(dump, vendor) > 1,
        "AVXSLOW": "AVX" in present and _has_slow_avx(vendor, family, model),
        "KEYLOCKERW": dump.get(0x19)[EBX] & 0b101 == 0b101,
        "TDX_GUEST": is_tdx_guest(dump),
    }
    names = {name for name, holds in conditions.items() if holds}
    if vendor == "AMD" and is_unaffected_by_tsa(family, model):
        names |= {"TSA_L1_NO", "TSA_SQ_NO"}
    return frozenset(names) | _fixed_counters(dump)


def _threads_per_core(dump: CpuidDump, vendor: str) -> int:
    if dump.get(0)[EAX] < 4:
        return 1
    threads = dump.get(0xB)[EBX] & 0xFFFF
    if not threads and vendor == "AMD" and (0x8000001E, 0) in dump.leaves:
        return (dump.get(0x8000001E)[EBX] >> 8 & 0xFF) + 1
    return threads


def _has_slow_avx(vendor: str, family: int, model: int) -> bool:
    """Returns whether the processor splits 256-bit operations in halves."""
    if vendor == "Intel":
        return family == 6 and model < 60
    return vendor == "AMD" and (family < 23 or (family == 23 and model < 49))


def is_unaffected_by_tsa(family: int, model: int) -> bool:
    """Returns whether TSA does not affect the processor: families below 19h, and some models of 1Ah. Source: AMD's TSA bulletin."""
    return family < 0x19 or (family == 0x1A and (model <= 0x4F or 0x60 <= model <= 0x7F))


def is_tdx_guest(dump: CpuidDump) -> bool:
    """Checks the signature of the Intel TDX module, and the TDX isolation type of Hyper-V."""
    if dump.get(0)[EAX] < 0x20:
        return False
    _, ebx, ecx, edx = dump.get(0x21)
    return _text(ebx, edx, ecx) == "IntelTDX    " or dump.get(0x4000000C)[EBX] == 0xBE3


def _fixed_counters(dump: CpuidDump) -> frozenset[str]:
    """Returns the names of the fixed-function performance counters in leaf 0xA."""
    eax, ebx, _, edx = dump.get(0xA)
    if not eax & 0xFF:
        return frozenset()
    if ebx == 0:
        count = edx & 0x1F
        return frozenset(FIXED_COUNTERS[:count]) if count in (3, 4) else frozenset()
    return frozenset(name for bit, name in enumerate(FIXED_COUNTERS) if not ebx >> bit & 1)


def microarchitecture_levels(present: frozenset[str]) -> frozenset[str]:
    """Returns `X86_64_V1` up to the highest level whose flags are all present."""
    if not present & {"SYSEE", "SYSCALL"}:
        return frozenset()
    names = []
    for level, needs in enumerate(MICROARCHITECTURE_LEVELS, start=1):
        if not needs <= present:
            break
        names.append(f"X86_64_V{level}")
    return frozenset(names)


def decode_rdt(dump: CpuidDump) -> frozenset[str]:
    """Returns the features of Intel Resource Director Technology: monitoring (leaf 0xF) and allocation (leaf 0x10)."""
    ebx = dump.get(7)[EBX]
    monitor = dump.get(0xF, 1)[EDX] if ebx >> 12 & 1 and dump.get(0xF)[EDX] >> 1 & 1 else None
    allocate = dump.get(0x10)[EBX] if ebx >> 15 & 1 else 0
    conditions = {
        "RDTMON": monitor is not None,
        "RDTCMT": bool((monitor or 0) & 0b001),
        "RDTMBM": (monitor or 0) & 0b110 == 0b110,
        "RDTL3CA": bool(allocate & 0b0010),
        "RDTL2CA": bool(allocate & 0b0100),
        "RDTMBA": bool(allocate & 0b1000),
    }
    return frozenset(name for name, holds in conditions.items() if holds)


def _epc_section(dump: CpuidDump, subleaf: int) -> int:
    """Returns the bytes of one section of the SGX enclave page cache."""
    eax, _, ecx, edx = dump.get(0x12, subleaf)
    return (ecx & 0xFFFFF000) | (edx & 0xFFFFF) << 32 if eax & 0xF == 1 else 0


def _text(*registers: int) -> str:
    return struct.pack(f"<{len(registers)}I", *registers).rstrip(b"\0").decode("ascii", errors="replace")
