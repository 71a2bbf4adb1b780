"""Parses /proc/cpuinfo. PURE. Sources: kernel Documentation/arch/x86/cpuinfo.rst, arch/*/kernel/cpuinfo.c formats.

On x86 this is the last method: the kernel hides some bits and has no name for many bits, so CPUID finds more flags.
"""

from collections.abc import Mapping

from nfd_lite.cpu.cpuid_decode import NO_HYPERVISOR, CpuidDump, CpuInfo, decode_vendor, microarchitecture_levels
from nfd_lite.cpu.cpuid_flags import FLAG_BITS

Cpuinfo = Mapping[str, str]
"""The lines of the first processor (`vendor_id` -> `GenuineIntel`), and the lines for all processors."""

_RENAMED_FLAGS = (
    "fpu:X87 cx8:CMPXCHG8 sep:SYSEE fxsr_opt:FXSROPT pni:SSE3 pclmulqdq:CLMUL fma:FMA3 sse4_1:SSE4 sse4_2:SSE42"
    " aes:AESNI abm:LZCNT lahf_lm:LAHF topoext:TOPEXT 3dnowext:AMD3DNOWEXT 3dnow:AMD3DNOW sha_ni:SHA cpb:CPBOOST"
    " irperf:MSRIRC arch_capabilities:IA32_ARCH_CAP core_capabilities:IA32_CORE_CAP user_shstk:CETSS npt:SVMNP"
    " lbrv:LBRVIRT svm_lock:SVML nrip_save:NRIPS tsc_scale:TSCRATEMSR vmcb_clean:VMCBCLEAN flushbyasid:SVMFBASID"
    " decodeassists:SVMDA pausefilter:SVMPF pfthreshold:SVMPFT overflow_recov:MCAOVERFLOW amd_ppin:PPIN sm3:SM3_X86"
    " sm4:SM4_X86 tdx_guest:TDX_GUEST ibt:CETIBT"
)
_RENAMED = dict(pair.split(":") for pair in _RENAMED_FLAGS.split())
"""Kernel flag -> CPUID name, if the names differ in more than case and underscores."""

_BY_PLAIN_NAME = {bit.name.lower().replace("_", ""): bit.name for bit in FLAG_BITS}

_RDT = {"cqm": "RDTMON", "cqm_occup_llc": "RDTCMT", "cat_l3": "RDTL3CA", "cat_l2": "RDTL2CA", "mba": "RDTMBA"}


def parse_cpuinfo(text: str) -> dict[str, str]:
    """Parses the `key : value` lines. The first value of a key counts. On arm64 and s390x, a later block describes all processors."""
    lines: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            lines.setdefault(key.strip(), value.strip())
    return lines


def assume_xcr0(cpuinfo: Cpuinfo) -> int:
    """Derives XCR0 from the flags: the kernel removes `avx` and `avx512f` if it does not save these registers."""
    flags = cpuinfo.get("flags", "").split()
    return 0b11 | (0b100 if "avx" in flags else 0) | (0xE0 if "avx512f" in flags else 0)


def translate_flags(cpuinfo: Cpuinfo) -> CpuInfo:
    """Decodes an x86 processor from the flag names of the kernel."""
    words = frozenset(cpuinfo.get("flags", "").split())
    present = frozenset(name for word in words if (name := translate_flag(word)) is not None)
    present |= {"OSXSAVE"} if "xsave" in words else frozenset()
    return CpuInfo(
        arch="x86_64",
        method="/proc/cpuinfo",
        vendor=_vendor(cpuinfo.get("vendor_id", "")),
        family=cpuinfo.get("cpu family", "0"),
        model=cpuinfo.get("model", "0"),
        hypervisor=("unknown" if "hypervisor" in words else NO_HYPERVISOR) if words else None,
        flags=present | microarchitecture_levels(present),
        rdt=frozenset(_RDT[word] for word in words & _RDT.keys())
        | ({"RDTMBM"} if {"cqm_mbm_total", "cqm_mbm_local"} <= words else frozenset()),
    )


def translate_flag(word: str) -> str | None:
    """Returns the CPUID name of a kernel flag; None if the flag has no such name."""
    return _RENAMED.get(word) or _BY_PLAIN_NAME.get(word.replace("_", ""))


def _vendor(text: str) -> str:
    raw = text.encode().ljust(12, b"\0")[:12]
    ebx, edx, ecx = (int.from_bytes(raw[at : at + 4], "little") for at in (0, 4, 8))
    return decode_vendor(CpuidDump(leaves={(0, 0): (0, ebx, ecx, edx)}))
