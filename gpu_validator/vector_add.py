"""Adds two vectors on a GPU by the CUDA driver API, and compares the sum.

This is a separate program, so a driver that hangs or crashes harms nothing.

`python vector_add.py LIBRARY [ROOT]`: LIBRARY is libcuda.so.1, by its path below ROOT if the program enters that root. The variable
CUDA_VISIBLE_DEVICES selects the device. Prints a line: `passed`, `failed: REASON` or `not run: REASON`. Imports nothing of the project,
because it runs without site-packages. Sources: CUDA Driver API reference; PTX ISA reference.
"""

import contextlib
import ctypes
import os
import sys

COUNT = 4096
THREADS = 256
COMPUTE_MODE = 20
"""CU_DEVICE_ATTRIBUTE_COMPUTE_MODE."""
PROHIBITED, EXCLUSIVE = 2, 3
UNAVAILABLE = 46
"""CUDA_ERROR_DEVICE_UNAVAILABLE: another process has the device alone."""
LOADED_BEFORE = ("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1")
"""Libraries that libcuda needs. After the change of the root, the loader would find those of another libc."""
PTX = b"""
.version 6.0
.target sm_50
.address_size 64

.visible .entry add(.param .u64 a, .param .u64 b, .param .u64 sum, .param .u32 count)
{
    .reg .pred %past;
    .reg .u32 %block, %size, %thread, %at, %count, %left, %right, %result;
    .reg .u64 %a, %b, %sum, %offset;

    ld.param.u64 %a, [a];
    ld.param.u64 %b, [b];
    ld.param.u64 %sum, [sum];
    ld.param.u32 %count, [count];
    mov.u32 %block, %ctaid.x;
    mov.u32 %size, %ntid.x;
    mov.u32 %thread, %tid.x;
    mad.lo.u32 %at, %block, %size, %thread;
    setp.ge.u32 %past, %at, %count;
    @%past bra DONE;
    cvta.to.global.u64 %a, %a;
    cvta.to.global.u64 %b, %b;
    cvta.to.global.u64 %sum, %sum;
    mul.wide.u32 %offset, %at, 4;
    add.u64 %a, %a, %offset;
    add.u64 %b, %b, %offset;
    add.u64 %sum, %sum, %offset;
    ld.global.u32 %left, [%a];
    ld.global.u32 %right, [%b];
    add.u32 %result, %left, %right;
    st.global.u32 [%sum], %result;
DONE:
    ret;
}
"""

Vector = ctypes.c_uint32 * COUNT


class CudaError(Exception):
    """A function of the driver returned an error. code: CUresult."""

    def __init__(self, function: str, code: int, name: str) -> None:
        super().__init__(f"{function} returned {name}")
        self.code = code


class Driver:
    """The driver API. Calls raise CudaError."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def call(self, function: str, *arguments: object) -> None:
        if result := getattr(self._library, function)(*arguments):
            raise CudaError(function, result, self._name(result))

    def _name(self, code: int) -> str:
        name = ctypes.c_char_p()
        if self._library.cuGetErrorName(ctypes.c_int(code), ctypes.byref(name)) or name.value is None:
            return f"ERROR_{code}"
        return name.value.decode(errors="replace").removeprefix("CUDA_ERROR_")


def main(library: str, root: str | None = None) -> str:
    """Returns the line to print."""
    try:
        return run(Driver(load(library, root)))
    except CudaError as error:
        return f"{'not run' if error.code == UNAVAILABLE else 'failed'}: {error}"
    except (OSError, AttributeError) as error:
        return f"failed: {library} cannot be used: {error}"


def load(library: str, root: str | None) -> ctypes.CDLL:
    """Loads the library. With a root, also its device nodes and its configuration are those of the root. Needs root then."""
    if root is not None:
        for name in LOADED_BEFORE:
            with contextlib.suppress(OSError):  # newer C libraries consist of fewer files
                ctypes.CDLL(name)
        os.chroot(root)
        os.chdir("/")
    return ctypes.CDLL(library)


def run(driver: Driver) -> str:
    device, mode = ctypes.c_int(), ctypes.c_int()
    driver.call("cuInit", ctypes.c_uint(0))
    driver.call("cuDeviceGet", ctypes.byref(device), ctypes.c_int(0))
    driver.call("cuDeviceGetAttribute", ctypes.byref(mode), ctypes.c_int(COMPUTE_MODE), device)
    if mode.value in (PROHIBITED, EXCLUSIVE):
        return f"not run: its compute mode is {'prohibited' if mode.value == PROHIBITED else 'exclusive'}"
    add_vectors(driver, device)
    return "passed"


def add_vectors(driver: Driver, device: ctypes.c_int) -> None:
    """Raises CudaError, also if the sum is wrong. The end of the process frees the memory of the GPU."""
    left, right = Vector(*range(COUNT)), Vector(*(3 * each + 1 for each in range(COUNT)))
    context, module, function = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
    driver.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    driver.call("cuCtxSetCurrent", context)
    driver.call("cuModuleLoadData", ctypes.byref(module), ctypes.c_char_p(PTX))
    driver.call("cuModuleGetFunction", ctypes.byref(function), module, ctypes.c_char_p(b"add"))
    places = [allocate(driver) for _ in range(3)]
    for place, vector in zip(places, (left, right), strict=False):
        driver.call("cuMemcpyHtoD_v2", place, vector, ctypes.c_size_t(ctypes.sizeof(vector)))
    launch(driver, function, [*places, ctypes.c_uint32(COUNT)])
    result = Vector()
    driver.call("cuMemcpyDtoH_v2", result, places[2], ctypes.c_size_t(ctypes.sizeof(result)))
    wrong = [at for at in range(COUNT) if result[at] != left[at] + right[at]]
    if wrong:
        raise CudaError("the vector addition", 0, f"{len(wrong)} wrong sums of {COUNT}")


def allocate(driver: Driver) -> ctypes.c_uint64:
    place = ctypes.c_uint64()
    driver.call("cuMemAlloc_v2", ctypes.byref(place), ctypes.c_size_t(ctypes.sizeof(Vector)))
    return place


def launch(driver: Driver, function: ctypes.c_void_p, parameters: "list[ctypes.c_uint64 | ctypes.c_uint32]") -> None:
    pointers = (ctypes.c_void_p * len(parameters))(*map(ctypes.addressof, parameters))
    shape = [ctypes.c_uint(each) for each in (COUNT // THREADS, 1, 1, THREADS, 1, 1)]
    driver.call("cuLaunchKernel", function, *shape, ctypes.c_uint(0), ctypes.c_void_p(), pointers, ctypes.c_void_p())
    driver.call("cuCtxSynchronize")


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
