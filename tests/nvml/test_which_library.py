"""The library that pynvml uses, tested with C libraries in separate processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulation.nvml.usage import RESERVED_SHARE
from simulation.scenarios.scenario import load_scenario
from tests.nvml.build import SONAME, build_library
from tests.nvml.conftest import Build
from tests.nvml.scenario_lines import SWITCH_BUS_ID, VARIABLE, render_lines

LOG_ERRORS = """
from node_core.runtime.log import configure_log
configure_log("json", "error")  # to standard error
"""
LOG_TO_OUTPUT = """
import sys
from node_core.runtime.log import configure_log
configure_log("json", "info", sys.stdout)
"""
ASK = """
import sys
from node_core.errors import NvmlError
from gpu_core.nvml.library import _libraries
from gpu_core.nvml.real import open_nvml
how = {"driver_root": sys.argv[2]} if sys.argv[1] == "root" else {"library": next(_libraries(sys.argv[2], ()), None)}
for _ in range(2):
    with open_nvml(**how) as nvml:
        print(nvml.system_get_driver_version())
        try:
            print(nvml.device_get_count())
        except NvmlError as error:
            print(error.call, error.code)
print([line.split()[-1] for line in open("/proc/self/maps") if "libnvidia-ml" in line][0])
"""

STRUCTURES = """
import ctypes, sys, pynvml
ctypes.CDLL(sys.argv[1], mode=ctypes.RTLD_GLOBAL)
pynvml.nvmlInit()
device = pynvml.nvmlDeviceGetHandleByIndex(0)
pci = pynvml.nvmlDeviceGetPciInfo(device)
print(pci.busId, pci.busIdLegacy, f"{pci.domain} {pci.bus} {pci.device}", sep="\\n")
memory = pynvml.nvmlDeviceGetMemoryInfo(device)
print(memory.total, memory.free, memory.used)
print(pynvml.nvmlDeviceGetNvLinkRemotePciInfo(device, 0).busId)
print(pynvml.nvmlErrorString(pynvml.NVML_ERROR_GPU_IS_LOST))
"""


def run_script(how: str, root: Path, folder: Path, **environment: str) -> list[str]:
    lines = folder / "lines"
    lines.write_text(render_lines(load_scenario("t4x1")))
    done = subprocess.run(
        [sys.executable, "-c", LOG_ERRORS + ASK, how, root],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, VARIABLE: str(lines), **environment},
    )
    return done.stdout.splitlines()


def test_the_library_below_the_driver_root_is_used_in_every_session(library: Path, tmp_path: Path) -> None:
    version = load_scenario("t4x1").driver
    assert version is not None
    for how in ("path", "root"):
        results = run_script(how, library.parents[2], tmp_path)
        assert results == [version.version, "1", version.version, "1", str(library)]


def test_a_function_that_the_library_lacks_is_not_found(build: Build, tmp_path: Path) -> None:
    library = build("nvmlDeviceGetCount_v2")
    assert run_script("path", library.parents[2], tmp_path)[1] == "nvmlDeviceGetCount FUNCTION_NOT_FOUND"


def test_with_an_empty_driver_root_the_dynamic_linkers_library_is_used(library: Path, tmp_path: Path) -> None:
    results = run_script("root", tmp_path / "driver-root", tmp_path, LD_LIBRARY_PATH=str(library.parent))
    assert results[-1] == str(library)


def test_a_broken_library_is_skipped_for_the_dynamic_linkers(library: Path, tmp_path: Path) -> None:
    broken = tmp_path / "driver-root/usr/lib64" / SONAME
    broken.parent.mkdir(parents=True)
    broken.write_bytes(library.read_bytes()[:64])
    results = run_script("root", tmp_path / "driver-root", tmp_path, LD_LIBRARY_PATH=str(library.parent))
    assert results[-1] == str(library)


def test_the_structures_match_those_of_pynvml(library: Path, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    gpu = load_scenario("gb200x4").gpus[0]
    lines.write_text(render_lines(load_scenario("gb200x4")))
    done = subprocess.run(
        [sys.executable, "-c", STRUCTURES, library],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, VARIABLE: str(lines)},
    )
    bus_id, legacy, numbers, memory, remote, error = done.stdout.splitlines()
    assert (bus_id, legacy, numbers) == (gpu.bus_id, "0008:01:00.0", "8 1 0")
    assert gpu.memory_bytes is not None
    reserved = gpu.memory_bytes // RESERVED_SHARE
    assert memory == f"{gpu.memory_bytes} {gpu.memory_bytes - reserved} {reserved}"
    assert remote == SWITCH_BUS_ID
    assert error == "GPU is lost"


def test_a_library_below_the_own_root_is_the_last_choice(library: Path, tmp_path: Path) -> None:
    nixos = tmp_path / "own/run/opengl-driver/lib" / SONAME
    nixos.parent.mkdir(parents=True)
    nixos.write_bytes(library.read_bytes())
    script = (
        "import sys; from gpu_core.nvml.library import *; print(load_any_library(sys.argv[1], own_root=sys.argv[2]))"
    )
    command = [sys.executable, "-c", script, f"{tmp_path}/driver-root", f"{tmp_path}/own"]
    result = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.strip()
    if result == SONAME:
        pytest.skip("this machine has an NVIDIA driver, which goes first")
    assert result == str(nixos)


EXCHANGE = """
import shutil, sys
from pathlib import Path
from node_core.errors import NvmlError
from gpu_core.nvml.real import open_nvml
root, lines, new_lines, new_library = sys.argv[1:]

def look():
    try:
        with open_nvml(driver_root=root) as nvml:
            print(nvml.system_get_driver_version(), nvml.device_get_count())
    except NvmlError as error:
        print(error.code)

look()
shutil.copy(new_lines, lines)   # a new kernel module
look()
place = Path(root, "usr/lib64/libnvidia-ml.so.1")
shutil.copy(new_library, place.with_name("new"))
place.with_name("new").rename(place)   # the library of the new kernel module
for _ in range(3):
    look()
print(len({line.split()[4] for line in open("/proc/self/maps") if "libnvidia-ml" in line}))
"""


@pytest.mark.exhaustive
def test_a_replaced_driver_is_used_without_a_restart(tmp_path: Path) -> None:
    old, new = load_scenario("t4x1"), load_scenario("gb200x4")
    assert old.driver is not None
    assert new.driver is not None
    build_library(tmp_path / "root", fits=old.driver.version)
    library = build_library(tmp_path / "new", fits=new.driver.version)
    (tmp_path / "lines").write_text(render_lines(old))
    (tmp_path / "new_lines").write_text(render_lines(new))
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            LOG_TO_OUTPUT + EXCHANGE,
            tmp_path / "root",
            tmp_path / "lines",
            tmp_path / "new_lines",
            library,
        ],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=30,
        env={**os.environ, VARIABLE: str(tmp_path / "lines")},
    )
    lines = [line for line in done.stdout.splitlines() if "nvml_library_exchanged" not in line]
    after = f"{new.driver.version} 4"
    assert lines == [f"{old.driver.version} 1", "LIB_RM_VERSION_MISMATCH", after, after, after, "2"]
    assert done.stdout.count("nvml_library_exchanged") == 1


BACK_AND_FORTH = """
import os, shutil, sys
from pathlib import Path
from node_core.errors import NvmlError
from gpu_core.nvml.real import open_nvml
root, lines, old_lines, new_lines, stranger, new = sys.argv[1:]
place = Path(root, "usr/lib64/libnvidia-ml.so.1")
second = Path(root, "lib64/libnvidia-ml.so.1")
old = place.with_name("kept")
second.parent.mkdir()

def look():
    try:
        with open_nvml(driver_root=root) as nvml:
            print(nvml.system_get_driver_version())
    except NvmlError as error:
        print(error.code)

def lay(library, at):
    at.unlink(missing_ok=True)
    os.link(library, at)

look()
os.link(place, old)
lay(stranger, place)
shutil.copy(new_lines, lines)
look()                      # a library that matches no driver
shutil.copy(old_lines, lines)
look()                      # the previous driver, whose library is still loaded
shutil.copy(new_lines, lines)
lay(new, second)
look()                      # the second library in search order matches
files = []
for _ in range(3):
    shutil.copy(old_lines, lines)
    lay(old, place)
    look()
    shutil.copy(new_lines, lines)
    lay(new, place)
    look()
    files.append(len(os.listdir("/proc/self/fd")))
print(len({line.split()[4] for line in open("/proc/self/maps") if "libnvidia-ml" in line}), len(set(files)))
"""


def test_a_driver_that_is_replaced_back_and_forth_uses_the_matching_library(tmp_path: Path) -> None:
    old, new = load_scenario("t4x1"), load_scenario("gb200x4")
    assert old.driver is not None
    assert new.driver is not None
    build_library(tmp_path / "root", fits=old.driver.version)
    libraries = [build_library(tmp_path / fits, fits=fits) for fits in ("0.0", new.driver.version)]
    for name, scenario in (("lines", old), ("old_lines", old), ("new_lines", new)):
        (tmp_path / name).write_text(render_lines(scenario))
    files = [tmp_path / name for name in ("root", "lines", "old_lines", "new_lines")]
    done = subprocess.run(
        [sys.executable, "-c", LOG_ERRORS + BACK_AND_FORTH, *files, *libraries],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=30,
        env={**os.environ, VARIABLE: str(tmp_path / "lines")},
    )
    lines = [line for line in done.stdout.splitlines() if "nvml_library_exchanged" not in line]
    before, after = old.driver.version, new.driver.version
    assert lines == [before, "LIB_RM_VERSION_MISMATCH", before, after, *[before, after] * 3, "3 1"]
