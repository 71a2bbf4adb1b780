"""The flags of /proc/cpuinfo."""

import pytest

from nfd_lite.cpu.cpuinfo import assume_xcr0, parse_cpuinfo, translate_flag, translate_flags

TEXT = """processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
flags\t\t: fpu sse4_1 avx512f avx xsave hypervisor cqm cqm_mbm_total cqm_mbm_local made_up

processor\t: 1
vendor_id\t: Other
"""


@pytest.mark.parametrize(
    ("flag", "name"),
    [("pni", "SSE3"), ("sse4_1", "SSE4"), ("avx512_bitalg", "AVX512BITALG"), ("ibt", "CETIBT"), ("made_up", None)],
)
def test_a_kernel_flag_is_translated_into_its_cpuid_name(flag: str, name: str | None) -> None:
    assert translate_flag(flag) == name


def test_the_first_processor_is_decoded() -> None:
    info = translate_flags(parse_cpuinfo(TEXT))
    assert (info.vendor, info.family, info.model, info.hypervisor) == ("Intel", "6", "143", "unknown")
    assert {"X87", "SSE4", "AVX512F", "AVX", "XSAVE", "OSXSAVE"} <= info.flags
    assert info.rdt == {"RDTMON", "RDTMBM"}


@pytest.mark.parametrize(("flags", "xcr0"), [("", 0b11), ("avx", 0b111), ("avx avx512f", 0xE7)])
def test_xcr0_depends_on_the_vector_flags(flags: str, xcr0: int) -> None:
    assert assume_xcr0({"flags": flags}) == xcr0
