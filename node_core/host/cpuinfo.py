"""PURE: what /proc/cpuinfo says of a processor. Sources: kernel Documentation/arch/x86/cpuinfo.rst, arch/*/kernel/cpuinfo.c formats.

On x86 this is the last resort: the kernel hides some bits and has no name for many, so fewer flags are found than by CPUID.
"""

from collections.abc import Mapping

from node_core.host.cpuid_decode import CpuidDump, CpuInfo, decode_vendor
from node_core.host.cpuid_flags import FLAG_BITS, MICROARCHITECTURE_LEVELS

Cpuinfo = Mapping[str, str]
"""The lines of the first processor (`vendor_id` -> `GenuineIntel`), and those that stand for all."""

_RENAMED = {
    "fpu": "X87",
    "cx8": "CMPXCHG8",
    "sep": "SYSEE",
    "fxsr_opt": "FXSROPT",
    "pni": "SSE3",
    "pclmulqdq": "CLMUL",
    "fma": "FMA3",
    "sse4_1": "SSE4",
    "sse4_2": "SSE42",
    "aes": "AESNI",
    "abm": "LZCNT",
    "lahf_lm": "LAHF",
    "topoext": "TOPEXT",
    "3dnowext": "AMD3DNOWEXT",
    "3dnow": "AMD3DNOW",
    "sha_ni": "SHA",
    "cpb": "CPBOOST",
    "irperf": "MSRIRC",
    "arch_capabilities": "IA32_ARCH_CAP",
    "core_capabilities": "IA32_CORE_CAP",
    "user_shstk": "CETSS",
    "npt": "SVMNP",
    "lbrv": "LBRVIRT",
    "svm_lock": "SVML",
    "nrip_save": "NRIPS",
    "tsc_scale": "TSCRATEMSR",
    "vmcb_clean": "VMCBCLEAN",
    "flushbyasid": "SVMFBASID",
    "decodeassists": "SVMDA",
    "pausefilter": "SVMPF",
    "pfthreshold": "SVMPFT",
    "overflow_recov": "MCAOVERFLOW",
    "amd_ppin": "PPIN",
    "sm3": "SM3_X86",
    "sm4": "SM4_X86",
    "tdx_guest": "TDX_GUEST",
    "ibt": "CETIBT",
}
"""Kernel flags whose name is not simply the CPUID name in lower case, with or without underscores."""

_BY_PLAIN_NAME = {bit.name.lower().replace("_", ""): bit.name for bit in FLAG_BITS}

_RDT = {
    "cqm": "RDTMON",
    "cqm_occup_llc": "RDTCMT",
    "cat_l3": "RDTL3CA",
    "cat_l2": "RDTL2CA",
    "mba": "RDTMBA",
}


def parse_cpuinfo(text: str) -> dict[str, str]:
    """The first block's `key : value` lines, completed by later ones (arm64 and s390x have lines that stand for all)."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            found.setdefault(key.strip(), value.strip())
    return found


def assume_xcr0(cpuinfo: Cpuinfo) -> int:
    """XCR0 as far as the kernel's flags tell: it drops `avx` and `avx512f` when it does not save those registers."""
    flags = cpuinfo.get("flags", "").split()
    return 0b11 | (0b100 if "avx" in flags else 0) | (0xE0 if "avx512f" in flags else 0)


def translate_flags(cpuinfo: Cpuinfo) -> CpuInfo:
    """An x86 processor by the kernel's flag names."""
    words = frozenset(cpuinfo.get("flags", "").split())
    held = frozenset(name for word in words if (name := translate_flag(word)) is not None)
    held |= {"OSXSAVE"} if "xsave" in words else frozenset()
    return CpuInfo(
        arch="x86_64",
        how="/proc/cpuinfo",
        vendor=_vendor(cpuinfo.get("vendor_id", "")),
        family=cpuinfo.get("cpu family", "0"),
        model=cpuinfo.get("model", "0"),
        hypervisor="unknown" if "hypervisor" in words else "none",
        flags=held | _levels(held),
        rdt=frozenset(_RDT[word] for word in words & _RDT.keys())
        | ({"RDTMBM"} if {"cqm_mbm_total", "cqm_mbm_local"} <= words else frozenset()),
    )


def translate_flag(word: str) -> str | None:
    """The CPUID name of a kernel flag; None where there is none."""
    return _RENAMED.get(word) or _BY_PLAIN_NAME.get(word.replace("_", ""))


def _vendor(text: str) -> str:
    raw = text.encode().ljust(12, b"\0")[:12]
    ebx, edx, ecx = (int.from_bytes(raw[at : at + 4], "little") for at in (0, 4, 8))
    return decode_vendor(CpuidDump(leaves={(0, 0): (0, ebx, ecx, edx)}))


def _levels(held: frozenset[str]) -> frozenset[str]:
    levels = (frozenset().union(*MICROARCHITECTURE_LEVELS[:count]) for count in (1, 2, 3, 4))
    return frozenset(f"X86_64_V{level}" for level, needs in enumerate(levels, start=1) if needs <= held)
