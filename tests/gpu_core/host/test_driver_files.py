"""Finding the files of a driver in the layouts of many distributions, and in roots that an attacker prepared."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pytest

from gpu_core.host.driver_files import MPS_PIPES, DriverFiles, _has_owner_of_root, read_driver_files
from gpu_core.host.driver_root import DriverRoot, Layout
from node_core.host.root import HostRoot
from tests.nvml.build import IN_CI
from tests.roots.drivers.layout import DRIVERS, lay_out, lay_out_all, lay_out_tree

DEBIAN = "/usr/lib/x86_64-linux-gnu"


FOUND = {
    "arm64-sbsa": (Layout.DISTRIBUTION, "570.86.15", "aarch64", "/usr/lib/aarch64-linux-gnu", "/usr/bin/nvidia-smi"),
    "bottlerocket-2025": (
        Layout.DISTRIBUTION,
        "570.148.08",
        "x86_64",
        "/x86_64-bottlerocket-linux-gnu/sys-root/usr/lib/nvidia/tesla",
        "/x86_64-bottlerocket-linux-gnu/sys-root/usr/libexec/nvidia/tesla/bin/nvidia-smi",
    ),
    "cos-vm": (Layout.FLAT, "570.148.08", "x86_64", "/lib64", "/var/lib/nvidia/bin/nvidia-smi"),
    "debian": (Layout.DISTRIBUTION, "550.54.15", "x86_64", DEBIAN, "/usr/bin/nvidia-smi"),
    "debian-12": (
        Layout.DISTRIBUTION,
        "535.261.03",
        "x86_64",
        f"{DEBIAN}/nvidia/current",
        "/usr/lib/nvidia/current/nvidia-smi",
    ),
    "driver-container": (Layout.DISTRIBUTION, "570.124.06", "x86_64", DEBIAN, "/usr/bin/nvidia-smi"),
    "gke-cos": (Layout.FLAT, "570.124.06", "x86_64", "/lib64", "/home/kubernetes/bin/nvidia/bin/nvidia-smi"),
    "k3s": (Layout.DISTRIBUTION, "580.178.04", "x86_64", DEBIAN, "/usr/bin/nvidia-smi"),
    "nixos": (
        Layout.NIXOS,
        "550.54.15",
        "x86_64",
        "/nix/store/2mk0kbn1zc5vdc4bqbcg0kwgwg7fpkrf-nvidia-x11-550.54.15-6.6.30/lib",
        "/nix/store/fw1p6jxvv6cl5h2z0cvfqq8s1qz1ad3l-nvidia-x11-550.54.15-bin/bin/nvidia-smi",
    ),
    "opt": (Layout.FLAT, "550.54.15", "x86_64", "/lib64", "/opt/nvidia/bin/nvidia-smi"),
    "rhel": (Layout.DISTRIBUTION, "550.54.15", "x86_64", "/usr/lib64", "/usr/bin/nvidia-smi"),
    "talos": (Layout.TALOS, "570.124.06", "x86_64", "/usr/lib", "/usr/local/bin/nvidia-smi"),
    "ubuntu-24.04": (Layout.DISTRIBUTION, "580.178.04", "x86_64", DEBIAN, "/usr/bin/nvidia-smi"),
    "vendor-links": (Layout.FLAT, "570.148.08", "x86_64", "/lib", "/opt/vendor/driver-570/bin/nvidia-smi"),
}
"""Layout, version, machine, folder of libcuda in the driver's own root, and path of nvidia-smi."""


def read(root: Path) -> DriverFiles:
    return read_driver_files(root, HostRoot(root))


@contextmanager
def unreadable(path: Path) -> Iterator[None]:
    """Makes a folder unreadable. If the test runs as root, switches to the user nobody."""
    is_root = os.geteuid() == 0
    path.chmod(0)
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        path.chmod(0o755)


@pytest.mark.parametrize("name", FOUND)
def test_the_driver_of_each_root_is_found(name: str, tmp_path: Path) -> None:
    files = read(lay_out_tree(name, tmp_path))
    (cuda,) = (library for library in files.libraries if library.stem == "libcuda")
    (smi,) = (file for file in files.binaries if file.path.endswith("/nvidia-smi"))
    assert (files.layout, files.version, files.machine, cuda.folder, smi.path) == FOUND[name]
    assert (tmp_path / cuda.path.lstrip("/")).is_file()
    assert cuda.names == (f"libcuda.so.{files.version}", "libcuda.so.1", "libcuda.so")[: len(cuda.names)]
    assert "libcuda.so.1" in cuda.names
    assert files.problems == ()


def test_every_captured_root_is_tested() -> None:
    assert set(DRIVERS) == FOUND.keys() | {"wsl", "tegra-l4t"}


def test_each_egl_platform_library_has_a_config_file(tmp_path: Path) -> None:
    files = read(lay_out_tree("ubuntu-24.04", tmp_path))
    platforms = {library.stem for library in files.libraries if library.stem.startswith("libnvidia-egl-")}
    described = {PurePosixPath(file.path).name for file in files.configs if "egl_external_platform.d" in file.path}
    assert platforms == {"libnvidia-egl-gbm", "libnvidia-egl-xcb", "libnvidia-egl-xlib"}
    assert described == {"15_nvidia_gbm.json", "20_nvidia_xcb.json", "20_nvidia_xlib.json"}


@pytest.mark.parametrize("name", ["driver-container", "debian"])
def test_a_nested_driver_root_gives_the_same_files(name: str, tmp_path: Path) -> None:
    own = read(lay_out_tree(name, tmp_path / "own"))
    lay_out_tree(name, tmp_path / "host/run/nvidia/driver")
    nested = read(tmp_path / "host")
    assert nested.layout is Layout.DRIVER_CONTAINER
    assert [library.folder for library in nested.libraries] == [library.folder for library in own.libraries]
    for kind in ("libraries", "binaries", "configs", "firmware", "sockets", "xorg"):
        paths = [file.path for file in getattr(own, kind)]
        assert [file.path for file in getattr(nested, kind)] == [f"/run/nvidia/driver{path}" for path in paths], kind


def test_firmware_and_sockets_of_the_host_are_found_with_a_nested_root(tmp_path: Path) -> None:
    files = read(lay_out_tree("talos", tmp_path))
    assert [file.place for file in files.sockets] == ["/run/nvidia-persistenced/socket"]
    assert [file.path for file in files.firmware] == [
        f"/usr/lib/firmware/nvidia/570.124.06/gsp_{chip}.bin" for chip in ("ga10x", "tu10x")
    ]


def test_firmware_is_searched_in_the_folders_of_the_kernel(tmp_path: Path) -> None:
    own = "/var/lib/firmware/nvidia/550.54.15/gsp_ga10x.bin"
    lay_out_tree("debian", tmp_path)
    lay_out_all(tmp_path, "/sys/module/firmware_class/parameters/path = /var/lib/firmware\\n", f"{own} = newer")
    for other in ("gsp_log.txt", "other.bin"):
        lay_out(tmp_path, f"/var/lib/firmware/nvidia/550.54.15/{other} = not firmware of the GSP")
    (firmware,) = read(tmp_path).firmware
    assert (firmware.path, firmware.place) == (own, "/lib/firmware/nvidia/550.54.15/gsp_ga10x.bin")


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["/usr/lib64/libcuda.so.1 -> libcuda.so.550.54.15"],
        ["/usr/lib64/libcuda.so.1 -> libcuda.so.1"],
        ["/usr/lib64/libcuda.so.1 -> /a", "/a -> /b", "/b -> /usr/lib64/libcuda.so.1"],
        ["/usr/lib64/libcuda.so.1/"],
        ["/usr/lib64/libcuda.so.1 = "],
        ["/usr/lib64/libcuda.so.1 socket"],
        ["/usr/lib64/libcuda.so.1 library i386"],
        ["/usr/lib64 = no folder", "/etc/ld.so.cache = no cache"],
    ],
    ids=["nothing", "to nothing", "to itself", "round", "a folder", "empty", "a socket", "32 bits", "files"],
)
def test_a_root_without_a_driver_has_no_files(lines: list[str], tmp_path: Path) -> None:
    assert read(lay_out_all(tmp_path, *lines)) == DriverFiles(machine="aarch64")


def test_a_missing_root_has_no_driver(tmp_path: Path) -> None:
    assert read(tmp_path / "driver-root").layout is None


def test_links_in_a_root_never_name_files_of_the_host(tmp_path: Path) -> None:
    host, root = lay_out_all(tmp_path / "host", "/shadow = secret", "/tool program"), tmp_path / "root"
    for name in ("gsp_a.bin", "gsp_b.bin"):
        lay_out(root, f"/lib/firmware/nvidia/550.54.15/{name} -> ../../../../../host/shadow")
    lay_out_all(
        root, "/usr/lib64/libcuda.so.1 -> libcuda.so.550.54.15", "/usr/lib64/libcuda.so.550.54.15 library x86_64"
    )
    lay_out_all(root, f"/usr/bin/nvidia-smi -> {host}/tool", "/etc/OpenCL -> ../../host", "/usr/share -> ../../host")
    lay_out(root, "/usr/lib64/libnvidia-ml.so.550.54.15 -> ../../../../../../../../etc/passwd")
    files = read(root)
    assert [library.path for library in files.libraries] == ["/usr/lib64/libcuda.so.550.54.15"]
    assert (files.firmware, files.binaries, files.configs) == ((), (), ())


@pytest.mark.parametrize(
    ("place", "target"),
    [
        ("/tmp/nvidia-mps", "/etc"),
        ("/tmp/nvidia-mps", "../etc"),
        ("/tmp/nvidia-mps", "/loop"),
        ("/run/nvidia-persistenced/socket", "/run/containerd/containerd.sock"),
        ("/run/nvidia-fabricmanager/socket", "../containerd/containerd.sock"),
    ],
)
def test_a_writable_mount_is_never_a_link(place: str, target: str, tmp_path: Path) -> None:
    """Also if the driver root is the root of the host, where a link to /etc does not leave the root."""
    lay_out_tree("k3s", tmp_path)
    lay_out_all(tmp_path, "/etc/shadow = secret", "/run/containerd/containerd.sock socket", "/loop -> /loop")
    path = tmp_path / place.lstrip("/")
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    lay_out(tmp_path, f"{place} -> {target}")
    sockets = read(tmp_path).sockets
    assert place not in {file.place for file in sockets}
    assert all(file.path == file.place for file in sockets)


@pytest.mark.skipif(os.geteuid() != 0 and not IN_CI, reason="changes the owner of a folder, which only root may do")
def test_an_mps_folder_of_another_user_is_not_mounted(tmp_path: Path) -> None:
    lay_out_tree("k3s", tmp_path)
    pipes = lay_out(tmp_path, "/tmp/nvidia-mps")
    assert "/tmp/nvidia-mps" in {file.place for file in read(tmp_path).sockets}
    os.chown(pipes, 1000, 1000)
    assert "/tmp/nvidia-mps" not in {file.place for file in read(tmp_path).sockets}


def test_files_of_the_wrong_type_are_ignored(tmp_path: Path) -> None:
    lay_out_tree("k3s", tmp_path)
    for name in (
        "usr/bin/nvidia-smi",
        "usr/lib/firmware/nvidia/580.178.04/gsp_ga10x.bin",
        "run/nvidia-persistenced/socket",
        "etc/OpenCL/vendors/nvidia.icd",
    ):
        (tmp_path / name).unlink()
    lay_out_all(tmp_path, "/usr/bin/nvidia-smi = no program", "/run/nvidia-persistenced/socket = no socket")
    lay_out_all(tmp_path, "/usr/lib/firmware/nvidia/580.178.04/gsp_ga10x.bin/", "/tmp/nvidia-mps = no folder")
    os.mkfifo(lay_out(tmp_path, "/etc/OpenCL/vendors/") / "nvidia.icd")
    files = read(tmp_path)
    assert "/usr/bin/nvidia-smi" not in [file.path for file in files.binaries]
    assert [PurePosixPath(file.path).name for file in files.firmware] == ["gsp_tu10x.bin"]
    assert (files.sockets, files.configs) == ((), ())


def test_an_unreadable_folder_is_a_problem_and_other_files_are_found() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = lay_out_tree("rhel", Path(folder))
        root.chmod(0o755)
        with unreadable(root / "usr/lib/firmware/nvidia/550.54.15"):
            files = read(root)
    assert files.firmware == ()
    assert len(files.libraries) > 20
    assert files.problems == ("cannot list /usr/lib/firmware/nvidia/550.54.15: Permission denied.",)


def test_a_folder_that_vanishes_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "tmp/nvidia-mps").mkdir(parents=True)
    assert _has_owner_of_root(DriverRoot(tmp_path), MPS_PIPES)
    (tmp_path / "tmp/nvidia-mps").rmdir()
    assert not _has_owner_of_root(DriverRoot(tmp_path), MPS_PIPES)


def programs(root: Path, *lines: str) -> dict[str, str]:
    lay_out_all(root, *lines)
    files = read_driver_files(root, HostRoot(root), loaded="570.148.08")
    return {file.place: file.path for file in files.binaries}


TWO_DRIVERS = (
    "/usr/lib64/libcuda.so.535.183.01 library x86_64",
    "/usr/lib64/libcuda.so.1 -> libcuda.so.535.183.01",
    "/opt/nvidia/lib64/libcuda.so.570.148.08 library x86_64",
)


def test_programs_next_to_the_libraries_are_used_before_those_in_the_usual_folders(tmp_path: Path) -> None:
    found = programs(tmp_path, *TWO_DRIVERS, "/usr/bin/nvidia-smi program", "/opt/nvidia/bin/nvidia-smi program")
    assert found == {"/usr/bin/nvidia-smi": "/opt/nvidia/bin/nvidia-smi"}


@pytest.mark.parametrize("loaded", ["/usr/bin", "/usr/local/bin", "/opt/bin", "/opt/nvidia/bin", "/usr/sbin"])
def test_of_two_programs_the_one_that_contains_the_version_of_the_driver_is_used(loaded: str, tmp_path: Path) -> None:
    others = [
        f"{folder}/nvidia-smi = NVIDIA-SMI 535.183.01"
        for folder in ("/usr/bin", "/usr/local/bin", "/opt/bin", "/opt/nvidia/bin")
        if folder != loaded
    ]
    lay_out_all(tmp_path, *others, f"{loaded}/nvidia-smi = NVIDIA-SMI 570.148.08")
    for path in tmp_path.rglob("nvidia-smi"):
        path.chmod(0o755)
    assert list(programs(tmp_path, *TWO_DRIVERS).values()) == [f"{loaded}/nvidia-smi"]


def test_programs_next_to_a_linked_program_are_found(tmp_path: Path) -> None:
    found = programs(
        tmp_path,
        "/usr/lib64/libcuda.so.570.148.08 library x86_64",
        "/usr/bin/nvidia-smi -> /srv/gpu/tools/nvidia-smi",
        "/srv/gpu/tools/nvidia-smi program",
        "/srv/gpu/tools/nvidia-debugdump program",
    )
    assert found == {
        "/usr/bin/nvidia-smi": "/srv/gpu/tools/nvidia-smi",
        "/usr/bin/nvidia-debugdump": "/srv/gpu/tools/nvidia-debugdump",
    }
