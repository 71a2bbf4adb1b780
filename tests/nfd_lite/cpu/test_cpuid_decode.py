"""Decoding of CPUID registers."""

import pytest

from nfd_lite.cpu.cpuid_decode import (
    CpuidDump,
    Leaves,
    decode_family_model,
    decode_flags,
    decode_hypervisor,
    decode_rdt,
    decode_x86,
    is_tdx_guest,
    is_unaffected_by_tsa,
)
from nfd_lite.cpu.cpuid_flags import FLAG_BITS

INTEL = (0x20, 0x756E6547, 0x6C65746E, 0x49656E69)
AMD = (0x10, 0x68747541, 0x444D4163, 0x69746E65)
XSAVE, OSXSAVE, AVX = 1 << 26, 1 << 27, 1 << 28
ZMM = 0xE7


def flags(leaves: Leaves, xcr0: int = 0) -> frozenset[str]:
    return decode_flags(CpuidDump(leaves={(0, 0): INTEL} | dict(leaves), xcr0=xcr0))


def test_xsave_and_osxsave_have_their_own_bits() -> None:
    assert flags({(1, 0): (0, 0, 1, 0)}) == {"SSE3"}
    assert flags({(1, 0): (0, 0, XSAVE, 0)}) == {"XSAVE"}
    assert flags({(1, 0): (0, 0, OSXSAVE, 0)}) == {"OSXSAVE"}


def test_protection_keys_are_not_amx_fp8() -> None:
    leaves = {(1, 0): (0, 0, XSAVE | OSXSAVE, 0), (7, 0): (0, 0, 1 << 3, 1 << 24)}
    assert "AMXFP8" not in flags(leaves, ZMM)
    assert "AMXFP8" in flags({**leaves, (0x1E, 1): (1 << 4, 0, 0, 0)}, ZMM)


@pytest.mark.parametrize(
    ("bits", "xcr0", "present"),
    [
        pytest.param(XSAVE | OSXSAVE | AVX, 0b111, {"AVX", "AVX2"}, id="ymm saved"),
        pytest.param(XSAVE | OSXSAVE | AVX, ZMM, {"AVX", "AVX2", "AVX512F"}, id="zmm saved"),
        pytest.param(XSAVE | OSXSAVE | AVX, 0b11, set(), id="sse saved only"),
        pytest.param(XSAVE | AVX, ZMM, set(), id="not enabled by the operating system"),
    ],
)
def test_vector_flags_need_an_operating_system_that_saves_the_registers(
    bits: int, xcr0: int, present: set[str]
) -> None:
    found = flags({(1, 0): (0, 0, bits, 0), (7, 0): (0, 1 << 5 | 1 << 16, 0, 0)}, xcr0)
    assert found & {"AVX", "AVX2", "AVX512F"} == present


def test_encrypted_memory_flags_are_amds_only() -> None:
    leaves = {(0x8000001F, 0): (0b10, 0, 0, 0)}
    assert "SEV" in decode_flags(CpuidDump(leaves={(0, 0): AMD, **leaves}))
    assert "SEV" not in flags(leaves)


@pytest.mark.parametrize(
    ("eax", "expected"),
    [(0x000806F8, (6, 143)), (0x00A10F11, (25, 17)), (0x00000663, (6, 6)), (0x00000543, (5, 4))],
    ids=["Sapphire Rapids", "Genoa", "Duron", "Pentium MMX"],
)
def test_display_family_and_model(eax: int, expected: tuple[int, int]) -> None:
    assert decode_family_model(CpuidDump(leaves={(1, 0): (eax, 0, 0, 0)})) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"KVMKVMKVM\0\0\0", "kvm"),
        (b"Microsoft Hv", "msvm"),
        (b"VMwareVMware", "vmware"),
        (b" my own hv! ", "my_own_hv"),
        (b"\0" * 12, "unknown"),
    ],
)
def test_hypervisors_are_named(text: bytes, expected: str) -> None:
    ebx, ecx, edx = (int.from_bytes(text[at : at + 4], "little") for at in (0, 4, 8))
    leaves = {(1, 0): (0, 0, 1 << 31, 0), (0x40000000, 0): (0, ebx, ecx, edx)}
    assert decode_hypervisor(CpuidDump(leaves=leaves)) == expected


def test_without_the_hypervisor_bit_there_is_no_hypervisor() -> None:
    assert decode_hypervisor(CpuidDump(leaves={(1, 0): (0, 0, 0, 0), (0x40000000, 0): (0, 1, 1, 1)})) == "none"


def test_without_the_leaf_of_the_hypervisor_bit_the_hypervisor_is_unknown() -> None:
    assert decode_hypervisor(CpuidDump(leaves={(0, 0): (0, 0, 0, 0)})) is None


@pytest.mark.parametrize(
    ("family", "model", "safe"),
    [(0x17, 49, True), (0x19, 17, False), (0x1A, 0x44, True), (0x1A, 0x50, False), (0x1A, 0x70, True)],
)
def test_old_and_some_new_processors_are_unaffected_by_tsa(family: int, model: int, *, safe: bool) -> None:
    assert is_unaffected_by_tsa(family, model) is safe


def test_a_tdx_guest_is_detected_by_its_signature_or_by_hyper_v() -> None:
    signature = tuple(int.from_bytes(b"IntelTDX    "[at : at + 4], "little") for at in (0, 4, 8))
    ebx, edx, ecx = signature
    assert is_tdx_guest(CpuidDump(leaves={(0, 0): (0x21, 0, 0, 0), (0x21, 0): (0, ebx, ecx, edx)}))
    assert is_tdx_guest(CpuidDump(leaves={(0, 0): (0x20, 0, 0, 0), (0x4000000C, 0): (0, 0xBE3, 0, 0)}))
    assert not is_tdx_guest(CpuidDump(leaves={(0, 0): (0x16, 0, 0, 0), (0x4000000C, 0): (0, 0xBE3, 0, 0)}))


def test_the_avx10_version_needs_the_avx10_flag() -> None:
    leaves = {(0, 0): (0x24, *INTEL[1:]), (7, 1): (0, 0, 0, 1 << 19), (0x24, 0): (0, 2 | 1 << 18, 0, 0)}
    info = decode_x86(CpuidDump(leaves=leaves), method="test")
    assert info.avx10_version == 2
    assert {"AVX10", "AVX10_512"} <= info.flags
    assert decode_x86(CpuidDump(leaves={(0, 0): INTEL, (0x24, 0): (0, 2, 0, 0)}), method="test").avx10_version is None


def test_hyperthreading_needs_more_than_one_thread_per_core() -> None:
    leaf1 = {(1, 0): (0, 0, 0, 1 << 28)}
    assert "HTT" in flags({**leaf1, (0xB, 0): (0, 2, 0, 0)})
    assert "HTT" not in flags({**leaf1, (0xB, 0): (0, 1, 0, 0)})
    old_amd: Leaves = {(0, 0): AMD, **leaf1, (0x8000001E, 0): (0, 0x100, 0, 0)}
    assert "HTT" in decode_flags(CpuidDump(leaves=old_amd))


def test_resource_director_needs_its_master_bits() -> None:
    details: Leaves = {(0xF, 0): (0, 0, 0, 2), (0xF, 1): (0, 0, 0, 0b111), (0x10, 0): (0, 0b1110, 0, 0)}
    everything = {"RDTMON", "RDTCMT", "RDTMBM", "RDTL3CA", "RDTL2CA", "RDTMBA"}
    assert decode_rdt(CpuidDump(leaves={**details, (7, 0): (0, 1 << 12 | 1 << 15, 0, 0)})) == everything
    assert decode_rdt(CpuidDump(leaves=details)) == frozenset()


def test_levels_end_before_the_first_level_with_a_missing_flag() -> None:
    v2_without_ssse3 = {(1, 0): (0, 0, 0xFFFFFFFF & ~(1 << 9), 0xFFFFFFFF), (0x80000001, 0): (0, 0, 1, 0)}
    assert {name for name in flags(v2_without_ssse3) if name.startswith("X86_64_V")} == {"X86_64_V1"}


def test_every_requirement_in_the_table_can_be_fulfilled() -> None:
    names = {bit.name for bit in FLAG_BITS} | {"YMM", "ZMM", "AMD"}
    assert {need for bit in FLAG_BITS for need in bit.needs} <= names
    assert all(0 <= bit.bit < 32 and 0 <= bit.register < 4 for bit in FLAG_BITS)


@pytest.mark.parametrize(("bits", "present"), [(0b101, True), (0b001, False), (0b100, False), (0b111, True)])
def test_wide_key_locker_needs_the_instructions_and_the_wide_ones(bits: int, present: bool) -> None:
    assert ("KEYLOCKERW" in flags({(0x19, 0): (0, bits, 0, 0)})) is present
