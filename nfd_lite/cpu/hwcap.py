"""Reads processors whose features are in the auxiliary vector: arm, arm64, ppc64le and s390x.

Sources: kernel Documentation/arch/arm64/{elf_hwcaps,cpu-feature-registers}.rst, the architectures' uapi asm/hwcap.h and
asm/cputable.h, getauxval(3).
"""

import ctypes
from collections.abc import Callable, Mapping

import msgspec

from nfd_lite.cpu.cpuid_decode import NO_HYPERVISOR, UNKNOWN_VENDOR, CpuInfo, clean_name
from nfd_lite.cpu.cpuinfo import Cpuinfo, parse_cpuinfo
from node_core.errors import HostReadError
from node_core.host.root import HostRoot

AT_HWCAP, AT_HWCAP2 = 16, 26
Auxval = Callable[[int], int]
_MIDR = "/sys/devices/system/cpu/cpu0/regs/identification/midr_el1"


class HwcapNames(msgspec.Struct, frozen=True, kw_only=True):
    """Bit number -> name, for AT_HWCAP and AT_HWCAP2."""

    hwcap: Mapping[int, str]
    hwcap2: Mapping[int, str]


def _bits_ascending(names: str) -> dict[int, str]:
    return dict(enumerate(names.split()))


def _bits_descending(names: str) -> dict[int, str]:
    return {31 - index: name for index, name in enumerate(names.split())}


HWCAPS: Mapping[str, HwcapNames] = {
    "aarch64": HwcapNames(
        hwcap=_bits_ascending(
            "FP ASIMD EVTSTRM AES PMULL SHA1 SHA2 CRC32 ATOMICS FPHP ASIMDHP CPUID ASIMDRDM JSCVT FCMA LRCPC DCPOP SHA3 SM3 SM4"
            " ASIMDDP SHA512 SVE ASIMDFHM DIT USCAT ILRCPC FLAGM SSBS SB PACA PACG"
        ),
        hwcap2=_bits_ascending(
            "DCPODP SVE2 SVEAES SVEPMULL SVEBITPERM SVESHA3 SVESM4 FLAGM2 FRINT SVEI8MM SVEF32MM SVEF64MM SVEBF16 I8MM BF16 DGH"
            " RNG BTI MTE ECV AFP RPRES MTE3 SME SMEI16I64 SMEF64F64 SMEI8I32 SMEF16F32 SMEB16F32 SMEF32F32 SMEFA64 WFXT EBF16"
            " SVEEBF16"
        ),
    ),
    "arm": HwcapNames(
        hwcap=_bits_ascending(
            "SWP HALF THUMB 26BIT FASTMUL FPA VFP EDSP JAVA IWMMXT CRUNCH THUMBEE NEON VFPv3 VFPv3D16 TLS VFPv4 IDIVA IDIVT"
            " VFPD32 LPAE EVTSTRM"
        ),
        hwcap2=_bits_ascending("AES PMULL SHA1 SHA2 CRC32"),
    ),
    "ppc64le": HwcapNames(
        hwcap=_bits_descending(
            "PPC32 PPC64 PPC601 ALTIVEC FPU MMU 4xxMAC UCACHE SPE EFPFLOAT EFPDOUBLE NOTB POWER4 POWER5 POWER5+ CELLBE BOOKE SMT"
            " IC_SNOOP ARCH_2_05 PA6T DFP POWER6X ARCH_2_06 VSX ARCHPMU"
        )
        | {1: "TRUE_LE", 0: "PPCLE"},
        hwcap2=_bits_descending(
            "ARCH_2_07 HTM DSCR EBB ISEL TAR VCRYPTO HTM-NOSC ARCH_3_00 IEEE128 DARN SCV HTM-NO-SUSPEND ARCH_3_1 MMA"
        ),
    ),
    "s390x": HwcapNames(
        hwcap=_bits_ascending(
            "ESAN3 ZARCH STFLE MSA LDISP EIMM DFP EDAT ETF3EH HIGHGPRS TE VX VXD VXE GS VXE2 VXP SORT DFLT VXP2 NNPA PCIMIO SIE"
        ),
        hwcap2={},
    ),
}

_IMPLEMENTERS = {
    0x41: "ARM",
    0x42: "Broadcom",
    0x43: "Cavium",
    0x44: "DEC",
    0x46: "Fujitsu",
    0x49: "Infineon",
    0x4D: "Motorola",
    0x4E: "NVIDIA",
    0x50: "AMCC",
    0x51: "Qualcomm",
    0x56: "Marvell",
    0x69: "Intel",
    0xC0: "Ampere",
}


def getauxval(kind: int) -> int:
    """Reads a value of the auxiliary vector of this process. Returns 0 for a missing value."""
    libc = ctypes.CDLL(None)
    libc.getauxval.restype = ctypes.c_ulong
    libc.getauxval.argtypes = (ctypes.c_ulong,)
    return int(libc.getauxval(kind))


def read_hwcap_cpu(root: HostRoot, arch: str, auxval: Auxval = getauxval) -> CpuInfo:
    """Reads a processor that is not x86. arch: as `uname -m` prints it. An unknown architecture has no flags and no vendor."""
    arch = "arm" if arch.startswith("armv") else arch
    cpuinfo = parse_cpuinfo(root.text("/proc/cpuinfo") or "")
    flags = decode_hwcaps(arch, auxval(AT_HWCAP), auxval(AT_HWCAP2))
    if arch == "aarch64" and "CPUID" in flags:
        return _describe_arm(_read_midr(root, cpuinfo), flags)
    if arch == "s390x":
        return _describe_s390x(cpuinfo, parse_cpuinfo(root.text("/proc/sysinfo") or ""), flags)
    return CpuInfo(arch=arch, method="hwcap", flags=flags)


def decode_hwcaps(arch: str, hwcap: int, hwcap2: int) -> frozenset[str]:
    names = HWCAPS.get(arch, HwcapNames(hwcap={}, hwcap2={}))
    pairs = ((names.hwcap, hwcap), (names.hwcap2, hwcap2))
    return frozenset(name for table, value in pairs for bit, name in table.items() if value >> bit & 1)


def _read_midr(root: HostRoot, cpuinfo: Cpuinfo) -> int:
    """Reads MIDR_EL1 of the first processor. Returns 0 if it is not available."""
    text = root.text(_MIDR)
    try:
        return int(text, 16) if text else build_midr(cpuinfo)
    except ValueError as error:
        raise HostReadError(f"{_MIDR} and /proc/cpuinfo do not contain a valid number: {error}") from error


def build_midr(cpuinfo: Cpuinfo) -> int:
    """Builds MIDR_EL1 from the lines of arm64. The architecture field is 0xf on every arm64 processor."""
    keys = {"CPU implementer": 24, "CPU variant": 20, "CPU part": 4, "CPU revision": 0}
    if not keys.keys() <= cpuinfo.keys():
        return 0
    return sum(int(cpuinfo[key], 0) << shift for key, shift in keys.items()) | 0xF << 16


def _describe_arm(midr: int, flags: frozenset[str]) -> CpuInfo:
    return CpuInfo(
        arch="aarch64",
        method="hwcap",
        vendor=_IMPLEMENTERS.get(midr >> 24 & 0xFF, UNKNOWN_VENDOR),
        family=str(midr >> 16 & 0xFF),
        model=str(midr & 0xFFFF),
        flags=flags,
    )


def _describe_s390x(cpuinfo: Cpuinfo, sysinfo: Mapping[str, str], flags: frozenset[str]) -> CpuInfo:
    machine = next((value for key, value in cpuinfo.items() if key.startswith("processor ") and "machine" in value), "")
    fields = dict(part.strip().split(" = ", 1) for part in machine.split(",") if " = " in part)
    program = next((value for key, value in sysinfo.items() if key.endswith("Control Program")), "")
    without = NO_HYPERVISOR if sysinfo else None
    return CpuInfo(
        arch="s390x",
        method="hwcap",
        vendor=clean_name(cpuinfo.get("vendor_id", "")) or UNKNOWN_VENDOR,
        family=fields.get("identification", "0"),
        model=fields.get("machine", cpuinfo.get("machine", "0")),
        hypervisor=clean_name(program) or without,
        flags=flags,
    )
