"""Which library pynvml comes to use, proved with C libraries in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from node_core.simulate.scenario import load_scenario
from tests.nvml.build import SONAME, build_library
from tests.nvml.conftest import Build
from tests.nvml.scenario_lines import SWITCH_BUS_ID, VARIABLE, render_lines

ASK = """
import sys
from node_core.errors import NvmlError
from node_core.host.nvml.library import find_library
from node_core.host.nvml.real import open_nvml
how = {"driver_root": sys.argv[2]} if sys.argv[1] == "root" else {"library": find_library(sys.argv[2])}
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


def ask(how: str, root: Path, folder: Path, **environment: str) -> list[str]:
    lines = folder / "lines"
    lines.write_text(render_lines(load_scenario("t4x1")))
    done = subprocess.run(
        [sys.executable, "-c", ASK, how, root],
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
        answers = ask(how, library.parents[2], tmp_path)
        assert answers == [version.version, "1", version.version, "1", str(library)]


def test_a_function_that_the_library_lacks_is_not_found(build: Build, tmp_path: Path) -> None:
    library = build("nvmlDeviceGetCount_v2")
    assert ask("path", library.parents[2], tmp_path)[1] == "nvmlDeviceGetCount FUNCTION_NOT_FOUND"


def test_where_the_driver_root_is_empty_the_dynamic_linkers_library_is_used(library: Path, tmp_path: Path) -> None:
    answers = ask("root", tmp_path / "driver-root", tmp_path, LD_LIBRARY_PATH=str(library.parent))
    assert answers[-1] == str(library)


def test_a_library_that_is_broken_gives_way_to_the_dynamic_linkers(library: Path, tmp_path: Path) -> None:
    broken = tmp_path / "driver-root/usr/lib64" / SONAME
    broken.parent.mkdir(parents=True)
    broken.write_bytes(library.read_bytes()[:64])
    answers = ask("root", tmp_path / "driver-root", tmp_path, LD_LIBRARY_PATH=str(library.parent))
    assert answers[-1] == str(library)


def test_the_structures_are_laid_out_as_the_binding_lays_them_out(library: Path, tmp_path: Path) -> None:
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
    assert memory == f"{gpu.memory_bytes} {gpu.memory_bytes} 0"
    assert remote == SWITCH_BUS_ID
    assert error == "GPU is lost"


def test_a_library_below_our_own_root_is_the_last_choice(library: Path, tmp_path: Path) -> None:
    nixos = tmp_path / "own/run/opengl-driver/lib" / SONAME
    nixos.parent.mkdir(parents=True)
    nixos.write_bytes(library.read_bytes())
    script = "import sys; from node_core.host.nvml.library import *; print(load_any_library(sys.argv[1], own_root=sys.argv[2]))"
    command = [sys.executable, "-c", script, f"{tmp_path}/driver-root", f"{tmp_path}/own"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.strip()
    if answer == SONAME:
        pytest.skip("this machine has an NVIDIA driver, which goes first")
    assert answer == str(nixos)


EXCHANGE = """
import shutil, sys
from pathlib import Path
from node_core.errors import NvmlError
from node_core.host.nvml.real import open_nvml
root, lines, new_lines, new_library = sys.argv[1:]

def look():
    try:
        with open_nvml(driver_root=root) as nvml:
            print(nvml.system_get_driver_version(), nvml.device_get_count())
    except NvmlError as error:
        print(error.code)

look()
shutil.copy(new_lines, lines)   # another kernel module
look()
place = Path(root, "usr/lib64/libnvidia-ml.so.1")
shutil.copy(new_library, place.with_name("new"))
place.with_name("new").rename(place)   # and its library
for _ in range(3):
    look()
print(len({line.split()[4] for line in open("/proc/self/maps") if "libnvidia-ml" in line}))
"""


def test_a_driver_that_is_exchanged_under_a_running_process_is_used_without_a_restart(tmp_path: Path) -> None:
    old, new = load_scenario("t4x1"), load_scenario("gb200x4")
    assert old.driver is not None
    assert new.driver is not None
    build_library(tmp_path / "root", fits=old.driver.version)
    library = build_library(tmp_path / "new", fits=new.driver.version)
    (tmp_path / "lines").write_text(render_lines(old))
    (tmp_path / "new_lines").write_text(render_lines(new))
    done = subprocess.run(
        [sys.executable, "-c", EXCHANGE, tmp_path / "root", tmp_path / "lines", tmp_path / "new_lines", library],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=30,
        env={**os.environ, VARIABLE: str(tmp_path / "lines")},
    )
    said = [line for line in done.stdout.splitlines() if "nvml_library_exchanged" not in line]
    after = f"{new.driver.version} 4"
    assert said == [f"{old.driver.version} 1", "LIB_RM_VERSION_MISMATCH", after, after, after, "2"]
    assert done.stdout.count("nvml_library_exchanged") == 1


BACK_AND_FORTH = """
import os, shutil, sys
from pathlib import Path
from node_core.errors import NvmlError
from node_core.host.nvml.real import open_nvml
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
look()                      # a library that fits no driver
shutil.copy(old_lines, lines)
look()                      # the driver of before, whose library is loaded still
shutil.copy(new_lines, lines)
lay(new, second)
look()                      # the one that fits is the second that is found
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


def test_a_driver_that_is_exchanged_back_and_forth_is_used_with_the_library_that_fits(tmp_path: Path) -> None:
    old, new = load_scenario("t4x1"), load_scenario("gb200x4")
    assert old.driver is not None
    assert new.driver is not None
    build_library(tmp_path / "root", fits=old.driver.version)
    libraries = [build_library(tmp_path / fits, fits=fits) for fits in ("0.0", new.driver.version)]
    for name, scenario in (("lines", old), ("old_lines", old), ("new_lines", new)):
        (tmp_path / name).write_text(render_lines(scenario))
    files = [tmp_path / name for name in ("root", "lines", "old_lines", "new_lines")]
    done = subprocess.run(
        [sys.executable, "-c", BACK_AND_FORTH, *files, *libraries],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=30,
        env={**os.environ, VARIABLE: str(tmp_path / "lines")},
    )
    said = [line for line in done.stdout.splitlines() if "nvml_library_exchanged" not in line]
    before, after = old.driver.version, new.driver.version
    assert said == [before, "LIB_RM_VERSION_MISMATCH", before, after, *[before, after] * 3, "3 1"]
