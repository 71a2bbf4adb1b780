"""Finding a driver's files in driver roots, and in roots that somebody made to trick us."""

import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_core.host.driver_files import DriverFiles, read_driver_files
from node_core.host.driver_libraries import find_anchor
from node_core.host.driver_root import DriverRoot, Layout
from node_core.host.elf import elf_machine
from node_core.host.ld_cache import parse_ld_cache
from node_core.host.links import resolve_inside
from node_core.host.root import HostRoot
from node_core.host.tegra import parse_list
from tests.nvml.build import IN_CI
from tests.roots.drivers.layout import DRIVERS, elf_header, lay_out, lay_out_tree

DEBIAN = "/usr/lib/x86_64-linux-gnu"
FOUND = {
    "arm64-sbsa": (Layout.DISTRIBUTION, "570.86.15", "aarch64", "/usr/lib/aarch64-linux-gnu", "/usr/bin/nvidia-smi"),
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
}
"""Layout, version, machine, folder of libcuda in the driver's own root, path of nvidia-smi."""


def read(root: Path) -> DriverFiles:
    return read_driver_files(root, HostRoot(root))


def resolve(root: Path, inside: str) -> Path | None:
    return resolve_inside(root, PurePosixPath(inside))


def lay_out_all(root: Path, *lines: str) -> Path:
    for line in lines:
        lay_out(root, line)
    return root


@contextmanager
def unreadable(path: Path) -> Iterator[None]:
    """While nobody may look into a folder; root becomes nobody for so long."""
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


def test_each_root_is_tried() -> None:
    assert set(DRIVERS) == FOUND.keys() | {"wsl", "tegra-l4t"}


def test_libraries_of_another_machine_are_not_the_drivers(tmp_path: Path) -> None:
    files = read(lay_out_tree("rhel", tmp_path))
    assert {library.folder for library in files.libraries} == {"/usr/lib64"}


@pytest.mark.parametrize("other", ["/usr/lib", "/lib", "/usr/lib64"])
def test_of_two_libraries_of_one_name_the_one_beside_libcuda_counts(other: str, tmp_path: Path) -> None:
    lay_out_tree("opt", tmp_path)
    before = read(tmp_path).libraries
    lay_out(tmp_path / "opt/nvidia", f"{other}/libnvidia-ptxjitcompiler.so.550.54.15 library x86_64")
    assert read(tmp_path).libraries == before


def test_a_library_has_the_names_of_all_links_to_it(tmp_path: Path) -> None:
    libraries = {library.stem: library.names for library in read(lay_out_tree("debian", tmp_path)).libraries}
    assert libraries["libGLX_nvidia"] == ("libGLX_nvidia.so.550.54.15", "libGLX_indirect.so.0", "libGLX_nvidia.so.0")
    assert libraries["libvdpau_nvidia"] == ("vdpau/libvdpau_nvidia.so.550.54.15", "vdpau/libvdpau_nvidia.so.1")
    assert "gbm/nvidia-drm_gbm.so" in libraries["libnvidia-allocator"]
    assert libraries["libnvidia-egl-gbm"] == ("libnvidia-egl-gbm.so.1.1.1", "libnvidia-egl-gbm.so.1")
    assert libraries["libEGL"] == ("libEGL.so.1.1.0", "libEGL.so.1")
    assert "libc" not in libraries


def test_debians_alternatives_lead_to_libraries_of_two_folders(tmp_path: Path) -> None:
    files = read(lay_out_tree("debian-12", tmp_path))
    libraries = {library.stem: library for library in files.libraries}
    assert libraries["libnvidia-ml"].path == f"{DEBIAN}/nvidia/current/libnvidia-ml.so.535.261.03"
    assert libraries["libnvidia-ml"].names[1] == "libnvidia-ml.so.1"
    assert libraries["libnvidia-glcore"].folder == libraries["libnvidia-egl-gbm"].folder == DEBIAN
    assert libraries["libGL"].names == ("libGL.so.1.7.0", "libGL.so.1", "libGL.so")
    assert ("/usr/lib/x86_64-linux-gnu/nvidia/current/nvoptix.bin", "/usr/share/nvidia/nvoptix.bin") in [
        (file.path, file.place) for file in files.configs
    ]
    assert {file.place for file in files.binaries} >= {"/usr/bin/nvidia-debugdump", "/usr/sbin/nvidia-cuda-mps-server"}


def test_each_window_system_that_a_driver_has_a_library_for_is_described_too(tmp_path: Path) -> None:
    files = read(lay_out_tree("ubuntu-24.04", tmp_path))
    platforms = {library.stem for library in files.libraries if library.stem.startswith("libnvidia-egl-")}
    described = {PurePosixPath(file.path).name for file in files.configs if "egl_external_platform.d" in file.path}
    assert platforms == {"libnvidia-egl-gbm", "libnvidia-egl-xcb", "libnvidia-egl-xlib"}
    assert described == {"15_nvidia_gbm.json", "20_nvidia_xcb.json", "20_nvidia_xlib.json"}


def test_wsl_is_known_by_its_driver_store(tmp_path: Path) -> None:
    files = read(lay_out_tree("wsl", tmp_path))
    names = {PurePosixPath(file.path).name for file in files.wsl}
    assert files.layout is Layout.WSL
    assert {"libdxcore.so", "libcuda.so.1.1", "nvidia-smi", "nvcubins.bin", "nvcuda64.dll"} < names
    assert not names & {"nvfrwi.inf", "nvidia-smi.exe", "amdihk64.dll"}
    assert all(file.place == file.path for file in files.wsl)


def test_a_jetson_is_known_by_its_lists(tmp_path: Path) -> None:
    files = read(lay_out_tree("tegra-l4t", tmp_path))
    assert files.layout is Layout.TEGRA
    assert files.tegra is not None
    assert files.tegra.devices == ("/dev/nvhost-ctrl-gpu", "/dev/nvmap", "/dev/nvhost-nvdec")
    assert files.tegra.missing == ("/usr/lib/aarch64-linux-gnu/tegra/libnvargus.so",)
    assert ("tegra/libcuda.so", "/usr/lib/aarch64-linux-gnu/tegra/libcuda.so.1.1") in [
        (target, file.path) for target, file in files.tegra.links
    ]


@pytest.mark.parametrize("name", ["driver-container", "debian"])
def test_a_root_in_the_hosts_root_is_as_one_of_its_own(name: str, tmp_path: Path) -> None:
    own = read(lay_out_tree(name, tmp_path / "own"))
    lay_out_tree(name, tmp_path / "host/run/nvidia/driver")
    nested = read(tmp_path / "host")
    assert nested.layout is Layout.DRIVER_CONTAINER
    assert [library.folder for library in nested.libraries] == [library.folder for library in own.libraries]
    for kind in ("libraries", "binaries", "configs", "firmware", "sockets", "xorg"):
        paths = [file.path for file in getattr(own, kind)]
        assert [file.path for file in getattr(nested, kind)] == [f"/run/nvidia/driver{path}" for path in paths], kind


def test_the_hosts_firmware_and_sockets_are_found_beside_a_nested_root(tmp_path: Path) -> None:
    files = read(lay_out_tree("talos", tmp_path))
    assert [file.place for file in files.sockets] == ["/run/nvidia-persistenced/socket"]
    assert [file.path for file in files.firmware] == [
        f"/usr/lib/firmware/nvidia/570.124.06/gsp_{chip}.bin" for chip in ("ga10x", "tu10x")
    ]


def test_firmware_is_looked_for_where_the_kernel_does(tmp_path: Path) -> None:
    own = "/var/lib/firmware/nvidia/550.54.15/gsp_ga10x.bin"
    lay_out_tree("debian", tmp_path)
    lay_out_all(tmp_path, "/sys/module/firmware_class/parameters/path = /var/lib/firmware\\n", f"{own} = newer")
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
def test_a_root_without_a_driver_has_none(lines: list[str], tmp_path: Path) -> None:
    assert read(lay_out_all(tmp_path, *lines)) == DriverFiles(machine="aarch64")


def test_a_root_that_is_not_there_has_no_driver(tmp_path: Path) -> None:
    assert read(tmp_path / "driver-root").layout is None


@pytest.mark.parametrize(
    "target", ["../../../host/{name}", "{host}/{name}", "/../host/{name}", "deep/../../../../host/{name}"]
)
def test_a_link_out_of_the_root_is_refused(target: str, tmp_path: Path) -> None:
    host, root, name = tmp_path / "host", tmp_path / "root", "libcuda.so.550.54.15"
    lay_out_all(host, f"/{name} library x86_64", "/shadow = secret")
    link = target.format(host=host, name=name)
    lay_out_all(root, f"/usr/lib64/libcuda.so.1 -> {link}", "/usr/lib64/deep/")
    assert resolve(root, "usr/lib64/libcuda.so.1") is None
    assert find_anchor(root) is None


def test_nothing_of_the_host_is_named_whatever_a_root_links_to(tmp_path: Path) -> None:
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
def test_what_is_mounted_for_writing_is_nothing_else_by_a_link(place: str, target: str, tmp_path: Path) -> None:
    """Also where the root is the host's own: then a link to /etc does not leave it."""
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


@pytest.mark.skipif(os.geteuid() != 0 and not IN_CI, reason="gives a folder to somebody else, which root alone may")
def test_a_folder_of_pipes_that_somebody_else_made_is_not_mounted(tmp_path: Path) -> None:
    lay_out_tree("k3s", tmp_path)
    pipes = lay_out(tmp_path, "/tmp/nvidia-mps")
    assert "/tmp/nvidia-mps" in {file.place for file in read(tmp_path).sockets}
    os.chown(pipes, 1000, 1000)
    assert "/tmp/nvidia-mps" not in {file.place for file in read(tmp_path).sockets}


@pytest.mark.parametrize("folder", ["a:b", "a\nb", "a\x1b[2Jb", "a\u202eb", "a\udcffb"])
def test_a_path_that_means_something_else_in_a_list_or_a_log_is_none(folder: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "there").touch()
    lay_out(tmp_path, "/plain/")
    (tmp_path / "plain" / "link").symlink_to(f"../{folder}/there")
    root = DriverRoot(tmp_path)
    assert root.resolve(f"{folder}/there") is None
    assert root.resolve("plain/link") is None


def test_a_link_that_climbs_over_the_root_is_refused_even_if_it_would_end_inside(tmp_path: Path) -> None:
    lay_out_all(tmp_path, "/lib64/there = ", "/a/climbs -> ../../lib64/there", "/a/stays -> ../lib64/there")
    assert resolve(tmp_path, "a/climbs") is None
    assert resolve(tmp_path, "a/stays") == tmp_path / "lib64/there"


def test_what_only_has_the_name_of_a_drivers_file_is_none(tmp_path: Path) -> None:
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


def test_absolute_links_begin_at_the_root_again(tmp_path: Path) -> None:
    lay_out_all(tmp_path, "/a -> /b/c", "/b -> /d", "/d/c/there = ", "/d/up -> ../a")
    assert resolve(tmp_path, "a/there") == tmp_path / "d/c/there"
    assert resolve(tmp_path, "b/up/there") == tmp_path / "d/c/there"
    assert resolve(tmp_path, "a/missing") is None


@pytest.mark.parametrize("path", ["a\0b", "x" * 300, "\udcff"], ids=["null byte", "long", "no text"])
def test_a_path_that_cannot_be_leads_nowhere(path: str, tmp_path: Path) -> None:
    assert resolve(tmp_path, path) is None


@pytest.mark.parametrize(("links", "found"), [(40, True), (41, False)])
def test_as_many_links_are_followed_as_the_kernel_follows(links: int, found: bool, tmp_path: Path) -> None:
    lay_out(tmp_path, "/link0 = ")
    for number in range(links):
        lay_out(tmp_path, f"/link{number + 1} -> link{number}")
    assert (resolve(tmp_path, f"link{links}") is not None) == found


@given(st.lists(st.sampled_from(["a", "b", "c", "..", "l", "m", "n"]), max_size=12))
def test_no_path_leads_out_of_a_root(parts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve() / "root"
        lay_out_all(root, "/a/b/c/", "/a/l -> /a/b", "/a/b/m -> ../../..", "/l -> a/b/c", "/m -> /a/../a", "/n -> /n")
        found = resolve_inside(root, PurePosixPath(*parts))
        assert found is None or (found.is_relative_to(root) and ".." not in found.parts)
        assert found is None or not any(part.is_symlink() for part in (found, *found.parents) if part != root)


def test_a_pipe_of_a_librarys_name_does_not_stop_the_search(tmp_path: Path) -> None:
    lay_out(tmp_path, "/lib64/")
    os.mkfifo(tmp_path / "lib64/libcuda.so.1")
    assert elf_machine(tmp_path / "lib64/libcuda.so.1") is None
    assert find_anchor(tmp_path) is None


@given(st.binary(max_size=64))
def test_what_is_no_library_has_no_machine(content: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        assert (elf_machine(Path(file.name)) is not None) == (
            content[:5] == b"\x7fELF\x02" and content[18:20] in (b">\0", b"\xb7\0")
        )


def test_of_thousands_of_files_the_drivers_are_found(tmp_path: Path) -> None:
    lay_out_tree("k3s", tmp_path)
    for number in range(3000):
        lay_out(tmp_path, f"{DEBIAN}/libother{number}.so.{number} library x86_64")
    assert len(read(tmp_path).libraries) == 13


def test_a_folder_that_cannot_be_read_is_a_problem_and_the_rest_is_found() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = lay_out_tree("rhel", Path(folder))
        root.chmod(0o755)
        with unreadable(root / "usr/lib/firmware/nvidia/550.54.15"):
            files = read(root)
    assert files.firmware == ()
    assert len(files.libraries) > 20
    assert files.problems == ("cannot list /usr/lib/firmware/nvidia/550.54.15: Permission denied.",)


def make_cache(*entries: tuple[int, str, str], old: bytes = b"") -> bytes:
    """A cache as ldconfig writes it: flags, name and path of each library."""
    strings, rows = b"", b""
    start = 48 + 24 * len(entries)
    for flags, name, path in entries:
        where = start + len(strings)
        strings += f"{name}\0{path}\0".encode()
        rows += struct.pack("<iIIIQ", flags, where, where + len(name) + 1, 0, 0)
    return old + struct.pack("<20sII20x", b"glibc-ld.so.cache1.1", len(entries), len(strings)) + rows + strings


def test_a_library_in_a_folder_of_somebodys_own_is_found_by_the_linkers_cache(tmp_path: Path) -> None:
    own = "/srv/gpu/lib"
    lay_out_all(
        tmp_path, f"{own}/libcuda.so.1 -> libcuda.so.550.54.15", f"{own}/libnvidia-ml.so.550.54.15 library x86_64"
    )
    lay_out_all(tmp_path, f"{own}/libcuda.so.550.54.15 library x86_64", "/etc/")
    cache = make_cache(
        (0x0303, "libcuda.so.1", f"{own}/libcuda.so.1"), (0x0003, "libcuda.so.1", "/usr/lib/libcuda.so.1")
    )
    (tmp_path / "etc/ld.so.cache").write_bytes(cache)
    files = read(tmp_path)
    assert [library.path for library in files.libraries] == [
        f"{own}/libcuda.so.550.54.15",
        f"{own}/libnvidia-ml.so.550.54.15",
    ]


def test_64_bit_libraries_are_read_from_caches_of_both_forms() -> None:
    entries = (
        (0x0303, "libcuda.so.1", "/x/libcuda.so.1"),
        (0x0003, "a.so", "/a"),
        (0x0A03, "libc.so.6", "/arm/libc.so.6"),
    )
    expected = [("x86_64", "libcuda.so.1", "/x/libcuda.so.1"), ("aarch64", "libc.so.6", "/arm/libc.so.6")]
    assert list(parse_ld_cache(make_cache(*entries))) == expected
    assert list(parse_ld_cache(make_cache(*entries, old=b"ld.so-1.7.0\0" + bytes(12)))) == expected


@pytest.mark.skipif(not Path("/etc/ld.so.cache").is_file(), reason="this machine has no glibc")
def test_this_machines_own_cache_names_its_c_library() -> None:
    cache = list(parse_ld_cache(Path("/etc/ld.so.cache").read_bytes()))
    assert any(name == "libc.so.6" and Path(path).exists() for _, name, path in cache)


@given(st.binary(max_size=300), st.integers(min_value=0, max_value=300), st.integers(min_value=0, max_value=2**32 - 1))
def test_a_broken_cache_is_read_as_far_as_it_goes(noise: bytes, cut: int, count: int) -> None:
    good = make_cache((0x0303, "libcuda.so.1", "/x/libcuda.so.1"))
    list(parse_ld_cache(noise))
    assert len(list(parse_ld_cache(good[:cut] + noise))) <= 14
    list(parse_ld_cache(good[:20] + struct.pack("<I", count) + good[24:] + noise))


@given(st.text(max_size=200))
def test_any_text_is_a_list_of_a_jetson(text: str) -> None:
    for entry in parse_list(text):
        assert entry.kind in ("dev", "dir", "lib", "sym")
        assert entry.place.startswith("/")
        assert "\0" not in entry.place


def test_a_list_of_a_jetson_is_read_line_by_line() -> None:
    text = "dev, /dev/nvmap\n lib ,/usr/lib/a b.so \r\nsym,relative\nexec, /bin/sh\nlib, /usr/../etc/shadow\nlib, /a\0b\ndir,\n"
    assert parse_list(text) == (("dev", "/dev/nvmap"), ("lib", "/usr/lib/a b.so"))


def test_a_place_outside_of_a_nested_root_is_its_path(tmp_path: Path) -> None:
    root = DriverRoot(tmp_path, "run/opengl-driver")
    assert root.place("/run/opengl-driver/lib/libcuda.so.1") == "/lib/libcuda.so.1"
    assert root.place("/nix/store/x/lib/libcuda.so.1") == "/nix/store/x/lib/libcuda.so.1"
    assert root.place("/run/opengl-driver-2/lib") == "/run/opengl-driver-2/lib"


def test_headers_of_composed_libraries_are_those_of_real_ones() -> None:
    assert elf_header("x86_64")[:5] == Path("/proc/self/exe").read_bytes()[:5]
