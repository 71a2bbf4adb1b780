"""The methods of reading the processor."""

import platform
from pathlib import Path

import pytest

from nfd_lite.cpu import cpuid
from nfd_lite.cpu.cpuid_decode import CpuidDump
from nfd_lite.cpu.cpuinfo import parse_cpuinfo, translate_flags
from node_core.errors import HostReadError
from node_core.host.root import HostRoot

x86_only = pytest.mark.skipif(platform.machine() not in cpuid.X86_64, reason="executes an x86 instruction")
CPUINFO = """processor : 0
vendor_id : GenuineIntel
cpu family : 6
model : 106
flags : fpu cx8 cmov sep fxsr mmx sse sse2 pni ssse3 cx16 sse4_1 sse4_2 popcnt lahf_lm aes avx xsave syscall hypervisor

processor : 1
vendor_id : Other
"""


def refuse() -> CpuidDump:
    raise cpuid.CpuidRefusedError("not here")


def write(root: Path, path: str, content: bytes) -> HostRoot:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(content)
    return HostRoot(root)


@x86_only
def test_the_instruction_and_the_kernel_agree_on_this_machine() -> None:
    cpuinfo = parse_cpuinfo(HostRoot().text("/proc/cpuinfo") or "")
    executed = cpuid.read_x86_cpu(HostRoot())
    kernel = translate_flags(cpuinfo)
    assert executed.method == "cpuid instruction"
    same = {
        "AVX",
        "AVX2",
        "AVX512F",
        "AESNI",
        "SSE42",
        "FMA3",
        "BMI2",
        "SHA",
        "XSAVE",
        "OSXSAVE",
        "HYPERVISOR",
        "X86_64_V1",
    }
    assert executed.flags & same == kernel.flags & same
    assert executed.flags & same
    assert (executed.vendor, executed.family, executed.model) == (kernel.vendor, kernel.family, kernel.model)


@x86_only
def test_a_thousand_reads_leak_no_memory_and_no_file() -> None:
    cpuid.execute_cpuid()
    executable = count_executable_anonymous_pages()
    files = len(list(Path("/proc/self/fd").iterdir()))
    first = cpuid.execute_cpuid()
    for _ in range(1000):
        # Leaves 1 and 0xB contain the number of the current core.
        assert cpuid.execute_cpuid().leaves.keys() == first.leaves.keys()
    assert count_executable_anonymous_pages() == executable
    assert len(list(Path("/proc/self/fd").iterdir())) == files


def count_executable_anonymous_pages() -> int:
    lines = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    return sum(1 for words in lines if "x" in words[1] and len(words) == 5)


def test_the_cpuid_device_is_read_if_the_instruction_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dev/cpu/0").mkdir(parents=True)
    # A sparse file with the registers of leaf 0, and of leaf 0x80000000 at its own offset.
    with (tmp_path / "dev/cpu/0/cpuid").open("wb") as file:
        file.write(b"\0\0\0\0" + b"GenuntelineI")
        file.truncate(0x80000000 + 16)
    files = len(list(Path("/proc/self/fd").iterdir()))
    info = cpuid.read_x86_cpu(HostRoot(tmp_path), refuse)
    assert (info.method, info.vendor) == ("cpuid device", "Intel")
    assert len(list(Path("/proc/self/fd").iterdir())) == files


def test_a_failing_cpuid_device_is_an_error(tmp_path: Path) -> None:
    root = write(tmp_path, "dev/cpu/0/cpuid", b"short")
    with pytest.raises(HostReadError, match="short read"):
        cpuid.read_x86_cpu(root, refuse)


def test_cpuinfo_is_translated_if_all_other_methods_are_refused(tmp_path: Path) -> None:
    info = cpuid.read_x86_cpu(write(tmp_path, "proc/cpuinfo", CPUINFO.encode()), refuse)
    assert (info.method, info.vendor, info.family, info.model) == ("/proc/cpuinfo", "Intel", "6", "106")
    assert info.hypervisor == "unknown"
    assert {"X87", "SSE42", "AESNI", "OSXSAVE", "X86_64_V2"} <= info.flags
    assert "X86_64_V3" not in info.flags


def test_a_processor_that_cannot_be_read_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(HostReadError, match="mount the host's /proc"):
        cpuid.read_x86_cpu(HostRoot(tmp_path), refuse)


def test_leaves_above_the_maximum_are_not_read() -> None:
    calls: list[int] = []

    def answer(leaf: int, _subleaf: int) -> tuple[int, int, int, int]:
        calls.append(leaf)
        return {0: 7, 0x80000000: 0x80000001}.get(leaf, 0), 0, 0, 0

    leaves = cpuid.read_leaves(answer)
    assert {leaf for leaf, _ in leaves} == {0, 1, 7, 0x80000001}
    assert set(calls) == {0, 1, 7, 0x80000000, 0x80000001}


def test_only_existing_subleaves_of_leaf_7_are_read() -> None:
    def leaves_with(last: int) -> set[int]:
        def execute(leaf: int, subleaf: int) -> tuple[int, int, int, int]:
            return ({0: 7, 7: last if subleaf == 0 else 0}.get(leaf, 0), 0, 0, 0)

        return {subleaf for leaf, subleaf in cpuid.read_leaves(execute) if leaf == 7}

    assert [leaves_with(last) for last in (0, 1, 2, 5)] == [{0}, {0, 1}, {0, 1, 2}, {0, 1, 2}]
