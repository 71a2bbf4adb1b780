"""Reads the processor: with the CPUID instruction, with the cpuid driver of the kernel, or from /proc/cpuinfo, in this order.

The instruction runs from a page that is never writable and executable at the same time. Kernels that refuse executable anonymous
memory (SELinux execmem, seccomp, PR_SET_MDWE) return EACCES or EPERM, and the next method is tried. Any other failure is an error.
Sources: Intel SDM volume 2A (CPUID, XGETBV), kernel Documentation/arch/x86/cpuinfo.rst, cpuid(4).
"""

import ctypes
import errno
import mmap
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from struct import unpack

from nfd_lite.cpu.cpuid_decode import CpuidDump, CpuInfo, Registers, decode_x86
from nfd_lite.cpu.cpuinfo import assume_xcr0, parse_cpuinfo, translate_flags
from nfd_lite.cpu.hwcap import read_hwcap_cpu
from node_core.errors import HostReadError
from node_core.host.root import HostRoot

CpuReader = Callable[[HostRoot], CpuInfo]
Cpuid = Callable[[int, int], Registers]
"""(leaf, subleaf) -> registers of the current core."""

X86_64 = frozenset({"x86_64", "AMD64"})
_SUBLEAVES = {0x7: range(3), 0xD: range(2), 0xF: range(2), 0x12: range(10), 0x1E: range(2)}
"""Leaves with decoded subleaves. Only subleaf 0 of other leaves is decoded."""
_BASIC = (0x1, 0x7, 0xA, 0xB, 0xD, 0xF, 0x10, 0x12, 0x16, 0x19, 0x1E, 0x21, 0x24)
_HYPERVISOR = (0x40000000, 0x4000000C)
_EXTENDED = tuple(0x80000000 | leaf for leaf in (0x1, 0x7, 0x8, 0xA, 0x1A, 0x1B, 0x1E, 0x1F, 0x21))

# void f(uint32_t edi, uint32_t esi, uint32_t rdx[4]), System V AMD64 ABI.
_CPUID_CODE = bytes.fromhex(
    "f30f1efa"  # endbr64
    "53 89f8 89f1 4989d0"  # push rbx; mov eax, edi; mov ecx, esi; mov r8, rdx
    "0fa2"  # cpuid
    "418900 41895804 41894808 4189500c"  # mov [r8], eax; [r8+4], ebx; [r8+8], ecx; [r8+12], edx
    "5b c3"  # pop rbx; ret
)
_XGETBV_CODE = bytes.fromhex(
    "f30f1efa"  # endbr64
    "4989d0 89f9"  # mov r8, rdx; mov ecx, edi
    "0f01d0"  # xgetbv
    "418900 41895004 c3"  # mov [r8], eax; mov [r8+4], edx; ret
)
_XGETBV_AT = 64
_OSXSAVE = 1 << 27
_REFUSED = frozenset({errno.EACCES, errno.EPERM})
_Function = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32, ctypes.POINTER(ctypes.c_uint32 * 4))


class CpuidRefusedError(Exception):
    """This process is not allowed to read CPUID with this method."""


def read_cpu(root: HostRoot) -> CpuInfo:
    """Reads the processor of this host. Raises HostReadError if all methods fail."""
    arch = platform.machine()
    return read_x86_cpu(root) if arch in X86_64 else read_hwcap_cpu(root, arch)


def read_x86_cpu(root: HostRoot, execute: Callable[[], CpuidDump] | None = None) -> CpuInfo:
    """Reads an x86 processor with the best allowed method. execute: runs the instruction, or raises CpuidRefusedError."""
    try:
        return decode_x86((execute or execute_cpuid)(), method="cpuid instruction")
    except CpuidRefusedError:
        pass
    cpuinfo = parse_cpuinfo(root.text("/proc/cpuinfo") or "")
    try:
        return decode_x86(_read_cpuid_device(root, assume_xcr0(cpuinfo)), method="cpuid device")
    except CpuidRefusedError as refused:
        if not cpuinfo:
            raise HostReadError(
                f"cannot read the processor: {refused}, and /proc/cpuinfo is missing",
                hint="mount the host's /proc, or allow executable anonymous memory",
            ) from refused
    return translate_flags(cpuinfo)


def execute_cpuid() -> CpuidDump:
    """Reads all decoded leaves with the instruction. Raises CpuidRefusedError if executable memory is refused."""
    if sys.maxsize < 1 << 32:
        raise CpuidRefusedError("this is a 32-bit process")
    with _executable(_CPUID_CODE.ljust(_XGETBV_AT, b"\xcc") + _XGETBV_CODE) as address:
        cpuid = _bind_function(address)
        leaves = read_leaves(cpuid)
        # XGETBV without OSXSAVE is an illegal instruction.
        low, high, *_ = _bind_function(address + _XGETBV_AT)(0, 0) if cpuid(1, 0)[2] & _OSXSAVE else (0, 0)
        return CpuidDump(leaves=leaves, xcr0=low | high << 32)


def read_leaves(cpuid: Cpuid) -> dict[tuple[int, int], Registers]:
    """Reads the decoded leaves up to the maximum leaf of the processor. Above the maximum, CPUID returns the registers of another leaf."""
    leaves = {(0, 0): cpuid(0, 0)}
    starts = [(leaves[0, 0][0], _BASIC), (cpuid(0x80000000, 0)[0], _EXTENDED)]
    if starts[0][0] >= 1 and cpuid(1, 0)[2] >> 31:
        starts.append((cpuid(0x40000000, 0)[0] | 0x40000000, _HYPERVISOR))
    for maximum, group in starts:
        for leaf in group:
            if leaf <= maximum:
                leaves.update(_subleaves(cpuid, leaf))
    return leaves


def _subleaves(cpuid: Cpuid, leaf: int) -> dict[tuple[int, int], Registers]:
    subleaves = {(leaf, 0): cpuid(leaf, 0)}
    # EAX of these leaves' subleaf 0 is the highest subleaf.
    last = subleaves[leaf, 0][0] if leaf in {0x7, 0x1E} else 0xFF
    return subleaves | {(leaf, sub): cpuid(leaf, sub) for sub in _SUBLEAVES.get(leaf, ()) if 0 < sub <= last}


def _bind_function(address: int) -> Cpuid:
    function = _Function(address)

    def call(leaf: int, subleaf: int) -> Registers:
        out = (ctypes.c_uint32 * 4)()
        function(leaf, subleaf, ctypes.byref(out))
        return out[0], out[1], out[2], out[3]

    return call


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
    libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    return libc


@contextmanager
def _executable(code: bytes) -> Iterator[int]:
    """Yields the address of a page with this code. The page is written first, then made executable and read-only."""
    libc, size = _libc(), mmap.PAGESIZE
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    address = libc.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, private, -1, 0)
    if address in {None, ctypes.c_void_p(-1).value}:
        raise _memory_error("mmap")
    try:
        ctypes.memmove(address, code, len(code))
        if libc.mprotect(address, size, mmap.PROT_READ | mmap.PROT_EXEC):
            raise _memory_error("mprotect")
        yield address
    finally:
        libc.munmap(address, size)


def _memory_error(call: str) -> Exception:
    code = ctypes.get_errno()
    if code in _REFUSED:
        return CpuidRefusedError(f"{call} of executable memory: {os.strerror(code)}")
    return HostReadError(f"CPUID cannot be executed: {call} failed: {os.strerror(code)}")


def _read_cpuid_device(root: HostRoot, xcr0: int) -> CpuidDump:
    """Reads with the cpuid driver, which needs the module cpuid and CAP_SYS_RAWIO or root. xcr0: not available from the driver."""
    try:
        device = os.open(root.path("/dev/cpu/0/cpuid"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise CpuidRefusedError(f"/dev/cpu/0/cpuid: {error.strerror}") from error
    try:
        return CpuidDump(leaves=read_leaves(lambda leaf, sub: _pread(device, leaf, sub)), xcr0=xcr0)
    except OSError as error:
        raise HostReadError(f"cannot read /dev/cpu/0/cpuid: {error.strerror}") from error
    finally:
        os.close(device)


def _pread(device: int, leaf: int, subleaf: int) -> Registers:
    """Reads one subleaf. The lower half of the file position is the leaf, the upper half the subleaf. Source: cpuid(4)."""
    data = os.pread(device, 16, leaf | subleaf << 32)
    if len(data) != 16:
        raise OSError(errno.EIO, "short read")
    eax, ebx, ecx, edx = unpack("<4I", data)
    return eax, ebx, ecx, edx
