"""Finding libnvidia-ml.so.1 in the layouts of many distributions, and making pynvml use the one that was found."""

import ctypes
import platform
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from node_core.errors import NvmlError
from node_core.host.elf import elf_machine
from node_core.host.nvml import library
from node_core.host.nvml.library import (
    LIBRARY,
    find_library,
    other_libraries,
    render_search,
)
from node_core.host.nvml.real import open_nvml
from tests.roots.drivers.layout import elf_header, lay_out, lay_out_tree

MACHINE = platform.machine()
VERSIONED = "libnvidia-ml.so.550.54.15"
ABI = "x86_64-linux-gnu"
NIX_STORE = "nix/store/2mk0kbn1zc5vdc4bqbcg0kwgwg7fpkrf-nvidia-x11-550.54.15-6.6.30"

FOUND = {
    "arm64-sbsa": "usr/lib/aarch64-linux-gnu/libnvidia-ml.so.570.86.15",
    "debian": f"usr/lib/{ABI}/{VERSIONED}",
    "debian-12": f"usr/lib/{ABI}/nvidia/current/libnvidia-ml.so.535.261.03",
    "driver-container": f"usr/lib/{ABI}/libnvidia-ml.so.570.124.06",
    "gke-cos": "home/kubernetes/bin/nvidia/lib64/libnvidia-ml.so.570.124.06",
    "k3s": f"usr/lib/{ABI}/libnvidia-ml.so.580.178.04",
    "nixos": f"{NIX_STORE}/lib/{VERSIONED}",
    "opt": f"opt/nvidia/lib64/{VERSIONED}",
    "rhel": f"usr/lib64/{VERSIONED}",
    "talos": "usr/local/glibc/usr/lib/libnvidia-ml.so.570.124.06",
    "ubuntu-24.04": f"usr/lib/{ABI}/libnvidia-ml.so.580.178.04",
    "wsl": f"usr/lib/wsl/lib/{LIBRARY}",
}
"""Driver root -> where its library lies."""

OTHERS = {
    "alternatives of before 20.04": [
        f"/usr/lib/{ABI}/{LIBRARY} -> /etc/alternatives/{LIBRARY}",
        f"/etc/alternatives/{LIBRARY} -> /usr/lib/nvidia-550/{VERSIONED}",
        f"/usr/lib/nvidia-550/{VERSIONED} library {MACHINE}",
    ],
    "merged usr": ["/lib64 -> usr/lib64", f"/usr/lib64/{LIBRARY} library {MACHINE}"],
    "a driver container whose links are absolute": [
        f"/run/nvidia/driver/usr/lib64/{LIBRARY} -> /opt/libs/{VERSIONED}",
        f"/run/nvidia/driver/opt/libs/{VERSIONED} library {MACHINE}",
    ],
    "/var/run": [
        "/var/run -> /run",
        f"/run/nvidia/driver/usr/lib64/{VERSIONED} library {MACHINE}",
        f"/run/nvidia/driver/usr/lib64/{LIBRARY} -> /var/run/nvidia/driver/usr/lib64/{VERSIONED}",
    ],
    "gke, in a container": [f"/usr/local/nvidia/lib64/{LIBRARY} library {MACHINE}"],
    "talos of before 1.9": [f"/usr/local/glibc/lib/{LIBRARY} library {MACHINE}"],
    "arch": [f"/usr/lib/{LIBRARY} library {MACHINE}"],
    "a folder of libraries": [f"/{LIBRARY} library {MACHINE}"],
}

LAYOUTS_OF_ROOTS = {
    "gke-cos": ("home/kubernetes/bin/nvidia", "lib64/libnvidia-ml.so.570.124.06"),
    "talos": ("usr/local/glibc", "usr/lib/libnvidia-ml.so.570.124.06"),
    "opt": ("opt/nvidia", f"lib64/{VERSIONED}"),
    "wsl": ("usr/lib/wsl", f"lib/{LIBRARY}"),
}
"""Driver root -> a driver root inside, and the library below it."""

ASK = """
import sys
from node_core.errors import NvmlError
from node_core.host.nvml.library import load_any_library
print(load_any_library(sys.argv[1], own_root=sys.argv[2]))
"""


@pytest.fixture(autouse=True)
def only_where_there_are_drivers() -> None:
    if MACHINE not in ("x86_64", "aarch64"):
        pytest.skip("NVIDIA has no driver for this machine")


def lay_out_all(root: Path, *lines: str) -> Path:
    for line in lines:
        lay_out(root, line)
    return root


@pytest.mark.parametrize(("name", "library"), FOUND.items(), ids=FOUND.keys())
def test_the_library_of_each_root_is_found(name: str, library: str, tmp_path: Path) -> None:
    assert find_library(str(lay_out_tree(name, tmp_path, machine=MACHINE))) == f"{tmp_path}/{library}"


def test_a_jetson_without_the_library_has_none(tmp_path: Path) -> None:
    assert find_library(str(lay_out_tree("tegra-l4t", tmp_path, machine=MACHINE))) is None


@pytest.mark.parametrize("lines", OTHERS.values(), ids=OTHERS.keys())
def test_the_library_of_other_layouts_is_found(lines: list[str], tmp_path: Path) -> None:
    (real,) = (line.split()[0] for line in lines if " library " in line)
    assert find_library(str(lay_out_all(tmp_path, *lines))) == f"{tmp_path}{real}"


@pytest.mark.parametrize(("name", "inside", "library"), [(name, *found) for name, found in LAYOUTS_OF_ROOTS.items()])
def test_the_library_is_found_where_the_driver_root_is_the_drivers_own_folder(
    name: str, inside: str, library: str, tmp_path: Path
) -> None:
    root = lay_out_tree(name, tmp_path, machine=MACHINE) / inside
    assert find_library(str(root)) == f"{root}/{library}"


def test_the_folders_of_a_host_go_before_the_roots_that_are_nested_in_it(tmp_path: Path) -> None:
    library = f"{LIBRARY} library {MACHINE}"
    lay_out_all(tmp_path, f"/opt/nvidia/lib64/{library}", f"/run/nvidia/driver/usr/lib64/{library}")
    assert find_library(str(tmp_path)) == str(tmp_path / "run/nvidia/driver/usr/lib64" / LIBRARY)
    lay_out(tmp_path, f"/lib64/{library}")
    assert find_library(str(tmp_path)) == str(tmp_path / "lib64" / LIBRARY)


def test_no_library_and_no_root_are_none(tmp_path: Path) -> None:
    assert find_library(str(tmp_path)) is None
    assert find_library(str(tmp_path / "driver-root")) is None


@pytest.mark.parametrize(
    "content",
    [b"", b"#!/bin/sh\n" * 4, elf_header("x86_64")[:18] + struct.pack("<H", 3), elf_header("i386")],
    ids=["empty", "text", "another machine", "32 bits"],
)
def test_a_file_that_is_no_library_for_this_machine_is_passed_over(content: bytes, tmp_path: Path) -> None:
    good = lay_out(tmp_path, f"/lib64/{LIBRARY} library {MACHINE}")
    lay_out(tmp_path, f"/usr/lib64/{LIBRARY} = ").write_bytes(content)
    assert find_library(str(tmp_path)) == str(good)


def test_a_folder_of_that_name_is_no_library(tmp_path: Path) -> None:
    lay_out(tmp_path, f"/usr/lib64/{LIBRARY}/")
    assert find_library(str(tmp_path)) is None


@pytest.mark.parametrize(
    "lines",
    [
        [f"/lib64/{LIBRARY} -> {VERSIONED}"],
        [f"/lib64/{LIBRARY} -> {LIBRARY}"],
        ["/lib64 -> usr/lib64", "/usr/lib64 -> /lib64"],
    ],
    ids=["to nothing", "to itself", "round in circles"],
)
def test_a_link_that_leads_nowhere_is_no_library(lines: list[str], tmp_path: Path) -> None:
    assert find_library(str(lay_out_all(tmp_path, *lines))) is None


@pytest.mark.parametrize("climb", [False, True], ids=["absolute", "relative"])
def test_a_link_is_not_followed_out_of_the_driver_root(climb: bool, tmp_path: Path) -> None:
    outside = lay_out(tmp_path, f"/host/{VERSIONED} library {MACHINE}")
    root = tmp_path / "root"
    lay_out(root, f"/lib64/{LIBRARY} -> {f'../../host/{VERSIONED}' if climb else outside}")
    assert (root / "lib64" / LIBRARY).is_file(), "the kernel follows it"
    assert find_library(str(root)) is None


def test_a_library_that_cannot_be_loaded_is_named_in_the_error(tmp_path: Path) -> None:
    path = tmp_path / LIBRARY
    path.write_text("no library")
    with pytest.raises(NvmlError) as raised, open_nvml(str(path)):
        pass
    assert raised.value.code == "LIBRARY_NOT_FOUND"
    assert str(path) in str(raised.value)


def test_where_it_looked_is_said_with_what_is_missing_and_what_is_broken(tmp_path: Path) -> None:
    text = render_search((f"{tmp_path}/driver-root", str(tmp_path)), ["x.so: file too short"])
    assert f"and below {tmp_path}/driver-root (which is not there) and {tmp_path} in usr/lib64, usr/lib/" in text
    assert text.endswith("opt/nvidia/*, etc/ld.so.cache; x.so: file too short")


def run_search(driver_root: Path, own_root: Path) -> "subprocess.CompletedProcess[str]":
    """In a process of its own, because a library stays loaded for the life of a process."""
    return subprocess.run(
        [sys.executable, "-c", ASK, driver_root, own_root], capture_output=True, text=True, check=False, timeout=30
    )


def test_a_broken_library_below_the_driver_root_is_named_when_nothing_else_is_there(tmp_path: Path) -> None:
    broken = lay_out(tmp_path / "driver", f"/lib64/{LIBRARY} library {MACHINE}")
    done = run_search(tmp_path / "driver", tmp_path / "own")
    if done.returncode == 0:
        pytest.skip("this machine has an NVIDIA driver, which is found instead")
    message = done.stderr.splitlines()[-1]
    assert "LIBRARY_NOT_FOUND" in message
    assert str(broken) in message
    assert f"{tmp_path}/own (which is not there)" in message


def test_no_library_anywhere_is_one_error(tmp_path: Path) -> None:
    if find_library("/") is not None:
        pytest.skip("this machine has an NVIDIA driver")
    script = (
        "import sys; from node_core.errors import NvmlError; from node_core.host.nvml.library import load_any_library\n"
        "try: load_any_library(sys.argv[1], own_root=sys.argv[2])\n"
        "except NvmlError as error: print(error.code, error.hint)"
    )
    command = [sys.executable, "-c", script, str(tmp_path), str(tmp_path / "own")]  # this process may have one by now
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.match(r"LIBRARY_NOT_FOUND .* and below .* in usr/lib64", said)


def test_a_root_that_cannot_be_looked_at_is_one_that_is_not_there(tmp_path: Path) -> None:
    too_long = f"{tmp_path}/{'x' * 300}"
    assert f"{too_long} (which is not there)" in render_search((too_long,))


def test_where_there_is_no_other_library_or_only_a_broken_one_there_is_none(tmp_path: Path) -> None:
    current = ctypes.CDLL(None)
    assert list(other_libraries(current, str(tmp_path / "absent"), own_root=str(tmp_path))) == []
    broken = tmp_path / "usr/lib64/libnvidia-ml.so.1"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(Path(sys.executable).resolve().read_bytes()[:64])
    files = len(list(Path("/proc/self/fd").iterdir()))
    assert list(other_libraries(current, str(tmp_path), own_root=str(tmp_path))) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == files


def test_a_library_that_vanishes_while_it_is_looked_for_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = lay_out(tmp_path, f"/usr/lib64/{LIBRARY} library {MACHINE}")

    def find_then_remove(path: Path) -> str | None:
        machine = elf_machine(path)
        path.unlink()
        return machine

    monkeypatch.setattr(library, "elf_machine", find_then_remove)
    assert list(other_libraries(ctypes.CDLL(None), str(tmp_path), own_root=str(tmp_path))) == []
    assert not found.exists()
