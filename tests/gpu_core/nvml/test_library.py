"""Finding libnvidia-ml.so.1 in the layouts of many distributions, and making pynvml use the discovered library."""

import ctypes
import platform
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from gpu_core.host.driver_root import SMI_LINKS
from gpu_core.host.elf import elf_machine
from gpu_core.nvml.library import (
    LIBRARY,
    _libraries,
    other_libraries,
    render_search,
)
from gpu_core.nvml.real import open_nvml
from node_core.errors import NvmlError
from tests.descriptors import open_files
from tests.roots.drivers.layout import elf_header, lay_out, lay_out_all, lay_out_tree

MACHINE = platform.machine()
VERSIONED = "libnvidia-ml.so.550.54.15"
ABI = "x86_64-linux-gnu"
NIX_STORE = "nix/store/2mk0kbn1zc5vdc4bqbcg0kwgwg7fpkrf-nvidia-x11-550.54.15-6.6.30"

FOUND = {
    "arm64-sbsa": "usr/lib/aarch64-linux-gnu/libnvidia-ml.so.570.86.15",
    "bottlerocket-2025": "x86_64-bottlerocket-linux-gnu/sys-root/usr/lib/nvidia/tesla/libnvidia-ml.so.570.148.08",
    "cos-vm": "var/lib/nvidia/lib64/libnvidia-ml.so.570.148.08",
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
    "vendor-links": "opt/vendor/driver-570/lib/libnvidia-ml.so.570.148.08",
    "wsl": f"usr/lib/wsl/lib/{LIBRARY}",
}
"""Driver root -> path of its library."""

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
    "bottlerocket-2025": (
        "x86_64-bottlerocket-linux-gnu/sys-root",
        "usr/lib/nvidia/tesla/libnvidia-ml.so.570.148.08",
    ),
    "cos-vm": ("var/lib/nvidia", "lib64/libnvidia-ml.so.570.148.08"),
    "wsl": ("usr/lib/wsl", f"lib/{LIBRARY}"),
}
"""Driver root -> a nested driver root, and the library below the nested root."""

ASK = """
import sys
from node_core.errors import NvmlError
from gpu_core.nvml.library import load_any_library
print(load_any_library(sys.argv[1], own_root=sys.argv[2]))
"""


@pytest.fixture(autouse=True)
def only_where_there_are_drivers() -> None:
    if MACHINE not in ("x86_64", "aarch64"):
        pytest.skip("NVIDIA has no driver for this machine")


def find_library(driver_root: str) -> str | None:
    return next(_libraries(driver_root, ()), None)


@pytest.mark.parametrize(("name", "library"), FOUND.items(), ids=FOUND.keys())
def test_the_library_of_each_root_is_found(name: str, library: str, tmp_path: Path) -> None:
    assert find_library(str(lay_out_tree(name, tmp_path, machine=MACHINE))) == f"{tmp_path}/{library}"


def test_a_jetson_without_nvml_has_no_library(tmp_path: Path) -> None:
    assert find_library(str(lay_out_tree("tegra-l4t", tmp_path, machine=MACHINE))) is None


@pytest.mark.parametrize("lines", OTHERS.values(), ids=OTHERS.keys())
def test_the_library_of_other_layouts_is_found(lines: list[str], tmp_path: Path) -> None:
    (real,) = (line.split()[0] for line in lines if " library " in line)
    assert find_library(str(lay_out_all(tmp_path, *lines))) == f"{tmp_path}{real}"


@pytest.mark.parametrize(("name", "inside", "library"), [(name, *found) for name, found in LAYOUTS_OF_ROOTS.items()])
def test_the_library_is_found_if_the_driver_root_is_the_drivers_own_folder(
    name: str, inside: str, library: str, tmp_path: Path
) -> None:
    root = lay_out_tree(name, tmp_path, machine=MACHINE) / inside
    assert find_library(str(root)) == f"{root}/{library}"


def test_a_driver_container_precedes_the_folders_of_the_host_and_these_precede_other_nested_roots(
    tmp_path: Path,
) -> None:
    library = f"{LIBRARY} library {MACHINE}"
    for folder in ("opt/nvidia/lib64", "lib64", "run/nvidia/driver/usr/lib64"):
        lay_out(tmp_path, f"/{folder}/{library}")
        assert find_library(str(tmp_path)) == str(tmp_path / folder / LIBRARY)


def test_additional_folders_are_searched_first(tmp_path: Path) -> None:
    lay_out_all(tmp_path, f"/usr/lib64/{LIBRARY} library {MACHINE}", f"/srv/a/{LIBRARY} library {MACHINE}")
    assert next(_libraries(str(tmp_path), ["/none", "/srv/a"])) == f"{tmp_path}/srv/a/{LIBRARY}"
    assert next(_libraries(str(tmp_path), ["srv/a/"])) == f"{tmp_path}/srv/a/{LIBRARY}"
    assert next(_libraries(str(tmp_path), ["/../../srv/a"])) == f"{tmp_path}/usr/lib64/{LIBRARY}"


def test_a_missing_library_or_root_is_none(tmp_path: Path) -> None:
    assert find_library(str(tmp_path)) is None
    assert find_library(str(tmp_path / "driver-root")) is None


@pytest.mark.parametrize(
    "content",
    [b"", b"#!/bin/sh\n" * 4, elf_header("x86_64")[:18] + struct.pack("<H", 3), elf_header("i386")],
    ids=["empty", "text", "another machine", "32 bits"],
)
def test_a_file_that_is_not_a_library_for_this_machine_is_ignored(content: bytes, tmp_path: Path) -> None:
    good = lay_out(tmp_path, f"/lib64/{LIBRARY} library {MACHINE}")
    lay_out(tmp_path, f"/usr/lib64/{LIBRARY} = ").write_bytes(content)
    assert find_library(str(tmp_path)) == str(good)


def test_a_folder_with_the_name_of_the_library_is_ignored(tmp_path: Path) -> None:
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
def test_a_broken_link_is_ignored(lines: list[str], tmp_path: Path) -> None:
    assert find_library(str(lay_out_all(tmp_path, *lines))) is None


@pytest.mark.parametrize("climb", [False, True], ids=["absolute", "relative"])
def test_a_link_is_not_followed_out_of_the_driver_root(climb: bool, tmp_path: Path) -> None:
    outside = lay_out(tmp_path, f"/host/{VERSIONED} library {MACHINE}")
    root = tmp_path / "root"
    lay_out(root, f"/lib64/{LIBRARY} -> {f'../../host/{VERSIONED}' if climb else outside}")
    assert (root / "lib64" / LIBRARY).is_file(), "the kernel resolves it"
    assert find_library(str(root)) is None


def test_the_error_names_a_library_that_cannot_be_loaded(tmp_path: Path) -> None:
    path = tmp_path / LIBRARY
    path.write_text("no library")
    with pytest.raises(NvmlError) as raised, open_nvml(str(path)):
        pass
    assert raised.value.code == "LIBRARY_NOT_FOUND"
    assert str(path) in str(raised.value)


def test_the_hint_names_searched_missing_and_broken_places(tmp_path: Path) -> None:
    text = render_search((f"{tmp_path}/driver-root", str(tmp_path)), ["x.so: file too short"])
    assert (
        f"and below {tmp_path}/driver-root (which does not exist) and {tmp_path} in run/nvidia/driver/*, usr/lib64, usr/lib/"
        in text
    )
    assert "opt/nvidia/*, " in text
    assert text.endswith(f"etc/ld.so.cache, {', '.join(SMI_LINKS)}; x.so: file too short")


def run_search(driver_root: Path, own_root: Path) -> "subprocess.CompletedProcess[str]":
    """In a separate process, because a library stays loaded until the process ends."""
    return subprocess.run(
        [sys.executable, "-c", ASK, driver_root, own_root], capture_output=True, text=True, check=False, timeout=30
    )


def test_the_error_names_a_broken_library_below_the_driver_root(tmp_path: Path) -> None:
    broken = lay_out(tmp_path / "driver", f"/lib64/{LIBRARY} library {MACHINE}")
    done = run_search(tmp_path / "driver", tmp_path / "own")
    if done.returncode == 0:
        pytest.skip("this machine has an NVIDIA driver, which is found instead")
    message = done.stderr.splitlines()[-1]
    assert "LIBRARY_NOT_FOUND" in message
    assert str(broken) in message
    assert f"{tmp_path}/own (which does not exist)" in message


def test_without_any_library_one_error_is_raised(tmp_path: Path) -> None:
    if find_library("/") is not None:
        pytest.skip("this machine has an NVIDIA driver")
    script = (
        "import sys; from node_core.errors import NvmlError; from gpu_core.nvml.library import load_any_library\n"
        "try: load_any_library(sys.argv[1], own_root=sys.argv[2])\n"
        "except NvmlError as error: print(error.code, error.hint)"
    )
    command = [
        sys.executable,
        "-c",
        script,
        str(tmp_path),
        str(tmp_path / "own"),
    ]  # the test process may have loaded a library already
    hint = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.match(r"LIBRARY_NOT_FOUND .* and below .* in run/nvidia/driver/\*, usr/lib64", hint)


def test_an_unreadable_root_counts_as_missing(tmp_path: Path) -> None:
    too_long = f"{tmp_path}/{'x' * 300}"
    assert f"{too_long} (which does not exist)" in render_search((too_long,))


def test_a_broken_library_is_not_another_library(tmp_path: Path) -> None:
    current = ctypes.CDLL(None)
    assert list(other_libraries(current, str(tmp_path / "absent"), own_root=str(tmp_path))) == []
    broken = tmp_path / "usr/lib64/libnvidia-ml.so.1"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(Path(sys.executable).resolve().read_bytes()[:64])
    before = open_files()
    assert list(other_libraries(current, str(tmp_path), own_root=str(tmp_path))) == []
    assert open_files() <= before


def test_the_library_of_the_loaded_driver_is_another_library_also_without_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out_all(
        tmp_path,
        f"/usr/lib64/{LIBRARY} -> libnvidia-ml.so.535.183.01",
        f"/usr/lib64/libnvidia-ml.so.535.183.01 library {MACHINE}",
        f"/usr/lib64/libnvidia-ml.so.570.148.08 library {MACHINE}",
    )
    tried: list[str] = []
    monkeypatch.setattr("gpu_core.nvml.library._load_beside", lambda path: tried.append(Path(path).name))
    root = str(tmp_path)
    assert list(other_libraries(ctypes.CDLL(None), root, own_root=root, loaded="570.148.08")) == []
    assert tried == ["libnvidia-ml.so.535.183.01", "libnvidia-ml.so.570.148.08"]


def test_a_library_that_is_removed_during_the_search_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = lay_out(tmp_path, f"/usr/lib64/{LIBRARY} library {MACHINE}")

    def find_then_remove(path: Path) -> str | None:
        machine = elf_machine(path)
        path.unlink()
        return machine

    monkeypatch.setattr("gpu_core.host.driver_root.elf_machine", find_then_remove)
    assert list(other_libraries(ctypes.CDLL(None), str(tmp_path), own_root=str(tmp_path))) == []
    assert not found.exists()
