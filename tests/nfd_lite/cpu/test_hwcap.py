"""Processors that are not x86."""

import platform
from pathlib import Path

import pytest

from nfd_lite.cpu.hwcap import AT_HWCAP, HWCAPS, decode_hwcaps, getauxval, read_hwcap_cpu
from node_core.errors import HostReadError
from node_core.host.root import HostRoot

CPUID_BIT = 1 << 11
ARM = "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\nCPU revision\t: 1\n"
S390X = "vendor_id       : IBM/S390\nprocessor 0: version = FF,  identification = 2733E8,  machine = 2964\n"


def lay(root: Path, files: dict[str, str]) -> HostRoot:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    return HostRoot(root)


def only(bits: int) -> dict[int, int]:
    return {AT_HWCAP: bits}


def test_arm64_is_identified_by_midr_in_sysfs(tmp_path: Path) -> None:
    root = lay(tmp_path, {"sys/devices/system/cpu/cpu0/regs/identification/midr_el1": "0x00000000c00fac30\n"})
    info = read_hwcap_cpu(root, "aarch64", lambda kind: only(CPUID_BIT | 1).get(kind, 0))
    assert (info.vendor, info.family, info.model) == ("Ampere", "15", str(0xAC30))
    assert info.flags == {"FP", "CPUID"}


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (0x41, "ARM"), (0x42, "Broadcom"), (0x43, "Cavium"), (0x44, "DEC"), (0x46, "Fujitsu"), (0x49, "Infineon"),
        (0x4D, "Motorola"), (0x4E, "NVIDIA"), (0x50, "AMCC"), (0x51, "Qualcomm"), (0x56, "Marvell"), (0x69, "Intel"),
        (0xC0, "Ampere"), (0x57, "VendorUnknown"),
    ],
)  # fmt: skip
def test_the_vendor_of_arm64_is_the_implementer_in_midr(tmp_path: Path, code: int, name: str) -> None:
    """Source: Arm Architecture Reference Manual, MIDR_EL1."""
    root = lay(tmp_path, {"sys/devices/system/cpu/cpu0/regs/identification/midr_el1": f"0x{code << 24:016x}\n"})
    assert read_hwcap_cpu(root, "aarch64", lambda _: CPUID_BIT).vendor == name


def test_arm64_is_identified_by_cpuinfo_without_sysfs(tmp_path: Path) -> None:
    info = read_hwcap_cpu(lay(tmp_path, {"proc/cpuinfo": ARM}), "aarch64", lambda _: CPUID_BIT)
    assert (info.vendor, info.family, info.model) == ("ARM", str(0x3F), str(0xD0C1))


def test_arm64_without_the_cpuid_capability_is_not_identified(tmp_path: Path) -> None:
    info = read_hwcap_cpu(lay(tmp_path, {"proc/cpuinfo": ARM}), "aarch64", lambda _: 1)
    assert (info.vendor, info.family, info.model, info.hypervisor) == ("VendorUnknown", "0", "0", None)


def test_an_invalid_midr_is_an_error(tmp_path: Path) -> None:
    root = lay(tmp_path, {"sys/devices/system/cpu/cpu0/regs/identification/midr_el1": "what\n"})
    with pytest.raises(HostReadError, match="midr_el1"):
        read_hwcap_cpu(root, "aarch64", lambda _: CPUID_BIT)


def test_s390x_names_its_machine_and_its_control_program(tmp_path: Path) -> None:
    root = lay(tmp_path, {"proc/cpuinfo": S390X, "proc/sysinfo": "VM00 Control Program: KVM/Linux\n"})
    info = read_hwcap_cpu(root, "s390x", lambda _: 0b1)
    assert (info.vendor, info.family, info.model) == ("IBM_S390", "2733E8", "2964")
    assert info.hypervisor == "KVM_Linux"
    assert info.flags == {"ESAN3"}


@pytest.mark.parametrize(
    ("files", "hypervisor"),
    [({"proc/sysinfo": "Manufacturer: IBM\nLPAR Number: 1\n"}, "none"), ({}, None)],
    ids=["a logical partition", "without sysinfo"],
)
def test_s390x_without_a_control_program_is_bare_metal_only_if_sysinfo_exists(
    tmp_path: Path, files: dict[str, str], hypervisor: str | None
) -> None:
    info = read_hwcap_cpu(lay(tmp_path, {"proc/cpuinfo": S390X, **files}), "s390x", lambda _: 0)
    assert info.hypervisor == hypervisor


@pytest.mark.parametrize(
    ("arch", "hwcap", "hwcap2", "names"),
    [
        ("ppc64le", 0x80000042, 0x80020000, {"PPC32", "ARCHPMU", "TRUE_LE", "ARCH_2_07", "MMA"}),
        ("aarch64", 1 << 22, 1 << 1 | 1 << 33, {"SVE", "SVE2", "SVEEBF16"}),
        ("arm", 1 << 12, 1 << 4, {"NEON", "CRC32"}),
        ("s390x", 1 << 22, 0, {"SIE"}),
        ("riscv64", 0xFFFF, 0xFFFF, set()),
    ],
)
def test_capability_bits_have_the_kernels_meaning(arch: str, hwcap: int, hwcap2: int, names: set[str]) -> None:
    assert decode_hwcaps(arch, hwcap, hwcap2) == names


def test_tables_are_complete() -> None:
    lengths = {arch: (len(names.hwcap), len(names.hwcap2)) for arch, names in HWCAPS.items()}
    assert lengths == {"aarch64": (32, 34), "arm": (22, 5), "ppc64le": (28, 15), "s390x": (23, 0)}


def test_a_processor_on_an_empty_host_has_flags_only(tmp_path: Path) -> None:
    for arch in (*HWCAPS, "armv7l", "riscv64"):
        assert read_hwcap_cpu(HostRoot(tmp_path), arch, lambda _: 0).flags == frozenset()


@pytest.mark.skipif(platform.system() != "Linux", reason="the auxiliary vector is Linux's")
def test_the_auxiliary_vector_of_this_process_can_be_read() -> None:
    at_pagesz = 6
    assert getauxval(at_pagesz) >= 4096
