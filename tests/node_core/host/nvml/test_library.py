"""Finding libnvidia-ml.so.1 in the layouts of many distributions, and making pynvml use the one that was found."""

import platform
import struct
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from node_core.errors import NvmlError
from node_core.host.nvml.library import (
    LIBRARY,
    find_library,
    library_candidates,
    load_any_library,
    render_search,
    resolve_inside,
)
from node_core.host.nvml.real import open_nvml

MACHINE = {"x86_64": 62, "aarch64": 183}.get(platform.machine(), 0)
HEADER = struct.pack("<4sB13xH", b"\x7fELF", 2, MACHINE)
VERSIONED = "libnvidia-ml.so.550.54.15"
ABI = "x86_64-linux-gnu"

LAYOUTS = {
    "debian, ubuntu": {f"usr/lib/{ABI}/{LIBRARY}": VERSIONED, f"usr/lib/{ABI}/{VERSIONED}": ""},
    "ubuntu with the alternatives of before 20.04": {
        f"usr/lib/{ABI}/{LIBRARY}": f"/etc/alternatives/{LIBRARY}",
        f"etc/alternatives/{LIBRARY}": f"/usr/lib/nvidia-550/{VERSIONED}",
        f"usr/lib/nvidia-550/{VERSIONED}": "",
    },
    "arm64": {f"usr/lib/aarch64-linux-gnu/{VERSIONED}": "", f"usr/lib/aarch64-linux-gnu/{LIBRARY}": VERSIONED},
    "rhel, suse": {f"usr/lib64/{LIBRARY}": VERSIONED, f"usr/lib64/{VERSIONED}": ""},
    "a root with lib64 only": {f"lib64/{LIBRARY}": VERSIONED, f"lib64/{VERSIONED}": ""},
    "merged usr": {"lib64": "usr/lib64", f"usr/lib64/{LIBRARY}": VERSIONED, f"usr/lib64/{VERSIONED}": ""},
    "driver container on rke2 and k3s": {
        f"run/nvidia/driver/usr/lib/{ABI}/{LIBRARY}": VERSIONED,
        f"run/nvidia/driver/usr/lib/{ABI}/{VERSIONED}": "",
    },
    "driver container whose links are absolute": {
        f"run/nvidia/driver/usr/lib64/{LIBRARY}": f"/opt/libs/{VERSIONED}",
        f"run/nvidia/driver/opt/libs/{VERSIONED}": "",
    },
    "/var/run": {
        "var/run": "/run",
        f"run/nvidia/driver/usr/lib64/{VERSIONED}": "",
        f"run/nvidia/driver/usr/lib64/{LIBRARY}": f"/var/run/nvidia/driver/usr/lib64/{VERSIONED}",
    },
    "gke, container-optimized os": {
        f"home/kubernetes/bin/nvidia/lib64/{VERSIONED}": "",
        f"home/kubernetes/bin/nvidia/lib64/{LIBRARY}": VERSIONED,
    },
    "gke, in a container": {f"usr/local/nvidia/lib64/{LIBRARY}": VERSIONED, f"usr/local/nvidia/lib64/{VERSIONED}": ""},
    "talos": {f"usr/local/glibc/usr/lib/{LIBRARY}": VERSIONED, f"usr/local/glibc/usr/lib/{VERSIONED}": ""},
    "nixos": {
        "run/opengl-driver": "/nix/store/1-graphics-drivers",
        f"nix/store/1-graphics-drivers/lib/{LIBRARY}": f"/nix/store/2-nvidia-x11/lib/{LIBRARY}",
        f"nix/store/2-nvidia-x11/lib/{LIBRARY}": VERSIONED,
        f"nix/store/2-nvidia-x11/lib/{VERSIONED}": "",
    },
    "wsl": {f"usr/lib/wsl/lib/{LIBRARY}": ""},
    "/opt/nvidia": {f"opt/nvidia/lib64/{LIBRARY}": VERSIONED, f"opt/nvidia/lib64/{VERSIONED}": ""},
    "arch": {f"usr/lib/{LIBRARY}": VERSIONED, f"usr/lib/{VERSIONED}": ""},
}
"""What lies below a host's root: path -> the target of a link, or the empty text for the library itself."""

LAYOUTS_OF_ROOTS = {
    "/home/kubernetes/bin/nvidia": "lib64",
    "/run/opengl-driver": "lib",
    "/usr/local/glibc": "usr/lib",
    "/usr/lib/wsl": "lib",
    "/opt/nvidia": "lib64",
}
"""Driver root -> the folder of the library below it."""

ASK = """
import sys
from node_core.errors import NvmlError
from node_core.host.nvml.library import load_any_library
print(load_any_library(sys.argv[1], own_root=sys.argv[2]))
"""


def make_tree(root: Path, layout: dict[str, str]) -> Path:
    for name, target in layout.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if target:
            path.symlink_to(target)
        else:
            path.write_bytes(HEADER)
    return root


@pytest.mark.skipif(not MACHINE, reason="NVIDIA has no driver for this machine")
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_the_library_of_each_layout_is_found_below_a_mounted_root(layout: dict[str, str], tmp_path: Path) -> None:
    (real,) = (name for name, target in layout.items() if not target)
    assert find_library(str(make_tree(tmp_path, layout))) == str(tmp_path / real)


@pytest.mark.parametrize(("root", "folder"), LAYOUTS_OF_ROOTS.items())
def test_the_library_is_found_where_the_driver_root_is_the_drivers_own_folder(
    root: str, folder: str, tmp_path: Path
) -> None:
    make_tree(tmp_path, {f"{root.strip('/')}/{folder}/{LIBRARY}": ""})
    assert find_library(f"{tmp_path}{root}") == f"{tmp_path}{root}/{folder}/{LIBRARY}"


def test_candidates_lie_below_the_driver_root_in_order() -> None:
    candidates = library_candidates("/driver-root")
    assert candidates[0] == "/driver-root/usr/lib64/libnvidia-ml.so.1"
    assert candidates[1] == "/driver-root/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1"
    assert candidates[-1] == "/driver-root/opt/nvidia/lib/libnvidia-ml.so.1"
    assert library_candidates("/")[0] == "/usr/lib64/libnvidia-ml.so.1"
    assert len(candidates) == len(set(candidates))


def test_the_folders_of_a_host_go_before_the_roots_that_are_nested_in_it(tmp_path: Path) -> None:
    make_tree(tmp_path, {f"opt/nvidia/lib64/{LIBRARY}": "", f"run/nvidia/driver/usr/lib64/{LIBRARY}": ""})
    assert find_library(str(tmp_path)) == str(tmp_path / "run/nvidia/driver/usr/lib64" / LIBRARY)
    make_tree(tmp_path, {f"lib64/{LIBRARY}": ""})
    assert find_library(str(tmp_path)) == str(tmp_path / "lib64" / LIBRARY)


def test_no_library_and_no_root_are_none(tmp_path: Path) -> None:
    assert find_library(str(tmp_path)) is None
    assert find_library(str(tmp_path / "driver-root")) is None


@pytest.mark.parametrize(
    "content",
    [b"", b"#!/bin/sh\n" * 4, HEADER[:18] + struct.pack("<H", 3), HEADER[:4] + b"\x01" + HEADER[5:]],
    ids=["empty", "text", "another machine", "32 bits"],
)
def test_a_file_that_is_no_library_for_this_machine_is_passed_over(content: bytes, tmp_path: Path) -> None:
    make_tree(tmp_path, {f"lib64/{LIBRARY}": ""})
    (tmp_path / "usr/lib64").mkdir(parents=True)
    (tmp_path / "usr/lib64" / LIBRARY).write_bytes(content)
    assert find_library(str(tmp_path)) == str(tmp_path / "lib64" / LIBRARY)


def test_a_folder_of_that_name_is_no_library(tmp_path: Path) -> None:
    (tmp_path / "usr/lib64" / LIBRARY).mkdir(parents=True)
    assert find_library(str(tmp_path)) is None


@pytest.mark.parametrize(
    "links",
    [
        {f"lib64/{LIBRARY}": VERSIONED},
        {f"lib64/{LIBRARY}": LIBRARY},
        {"lib64": "usr/lib64", "usr/lib64": "/lib64"},
    ],
    ids=["to nothing", "to itself", "round in circles"],
)
def test_a_link_that_leads_nowhere_is_no_library(links: dict[str, str], tmp_path: Path) -> None:
    assert find_library(str(make_tree(tmp_path, links))) is None


@pytest.mark.parametrize("climb", [False, True], ids=["absolute", "relative"])
def test_a_link_is_not_followed_out_of_the_driver_root(climb: bool, tmp_path: Path) -> None:
    outside = make_tree(tmp_path, {f"host/{VERSIONED}": ""}) / "host" / VERSIONED
    root = tmp_path / "root"
    make_tree(root, {f"lib64/{LIBRARY}": f"../../host/{VERSIONED}" if climb else str(outside)})
    assert (root / "lib64" / LIBRARY).is_file(), "the kernel follows it"
    assert find_library(str(root)) is None


def test_going_up_from_the_root_stays_in_the_root(tmp_path: Path) -> None:
    make_tree(tmp_path, {"lib64/there": "", "a/link": "../../../lib64"})
    found = resolve_inside(tmp_path, PurePosixPath("a/link/there"))
    assert found == tmp_path / "lib64/there"


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
    assert text.endswith("opt/nvidia/*; x.so: file too short")


def run_search(driver_root: Path, own_root: Path) -> "subprocess.CompletedProcess[str]":
    """In a process of its own, because a library stays loaded for the life of a process."""
    return subprocess.run(
        [sys.executable, "-c", ASK, driver_root, own_root], capture_output=True, text=True, check=False, timeout=30
    )


def test_a_broken_library_below_the_driver_root_is_named_when_nothing_else_is_there(tmp_path: Path) -> None:
    broken = make_tree(tmp_path / "driver", {f"lib64/{LIBRARY}": ""}) / "lib64" / LIBRARY
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
    with pytest.raises(NvmlError, match=r"and below .* in usr/lib64") as raised:
        load_any_library(str(tmp_path), own_root=str(tmp_path / "own"))
    assert raised.value.code == "LIBRARY_NOT_FOUND"
