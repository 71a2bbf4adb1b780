"""Finding the libraries of a driver."""

from pathlib import Path

import pytest

from gpu_core.host.driver_files import DriverFiles, read_driver_files
from node_core.host.root import HostRoot
from tests.gpu_core.host.linker_cache import make_cache
from tests.roots.drivers.layout import lay_out, lay_out_all, lay_out_tree

DEBIAN = "/usr/lib/x86_64-linux-gnu"
FOLDERS = ("/usr/lib64", DEBIAN, "/opt/nvidia/lib64", "/usr/lib")
NAMES = ("libcuda", "libnvidia-ml", "libnvidia-nvvm")


def read(root: Path) -> DriverFiles:
    return read_driver_files(root, HostRoot(root))


def test_libraries_for_another_machine_are_ignored(tmp_path: Path) -> None:
    files = read(lay_out_tree("rhel", tmp_path))
    assert {library.folder for library in files.libraries} == {"/usr/lib64"}


@pytest.mark.parametrize("other", ["/usr/lib", "/lib", "/usr/lib64"])
def test_of_two_libraries_with_one_name_the_one_in_the_folder_of_libcuda_is_used(other: str, tmp_path: Path) -> None:
    lay_out_tree("opt", tmp_path)
    before = read(tmp_path).libraries
    lay_out(tmp_path / "opt/nvidia", f"{other}/libnvidia-ptxjitcompiler.so.550.54.15 library x86_64")
    assert read(tmp_path).libraries == before


def test_a_library_has_the_names_of_all_its_links(tmp_path: Path) -> None:
    libraries = {library.stem: library.names for library in read(lay_out_tree("debian", tmp_path)).libraries}
    assert libraries["libGLX_nvidia"] == ("libGLX_nvidia.so.550.54.15", "libGLX_indirect.so.0", "libGLX_nvidia.so.0")
    assert libraries["libvdpau_nvidia"] == ("vdpau/libvdpau_nvidia.so.550.54.15", "vdpau/libvdpau_nvidia.so.1")
    assert "gbm/nvidia-drm_gbm.so" in libraries["libnvidia-allocator"]
    assert libraries["libnvidia-egl-gbm"] == ("libnvidia-egl-gbm.so.1.1.1", "libnvidia-egl-gbm.so.1")
    assert libraries["libEGL"] == ("libEGL.so.1.1.0", "libEGL.so.1")
    assert "libc" not in libraries


def test_debians_alternatives_link_to_libraries_in_two_folders(tmp_path: Path) -> None:
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


def test_the_libraries_of_a_driver_are_found_among_thousands_of_files(tmp_path: Path) -> None:
    lay_out_tree("k3s", tmp_path)
    for number in range(3000):
        lay_out(tmp_path, f"{DEBIAN}/libother{number}.so.{number} library x86_64")
    assert len(read(tmp_path).libraries) == 13


def test_a_library_in_a_custom_folder_is_found_by_the_linkers_cache(tmp_path: Path) -> None:
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


def driver(folder: str, version: str, *names: str) -> list[str]:
    """The lines of a driver in a folder. names: of libraries that have links."""
    return [
        *(f"{folder}/{name}.so.{version} library x86_64" for name in NAMES),
        *(f"{folder}/{name}.so.1 -> {name}.so.{version}" for name in names),
    ]


@pytest.mark.parametrize("stale", FOLDERS)
@pytest.mark.parametrize("loaded", FOLDERS)
@pytest.mark.parametrize("linked", [(), ("535.183.01",), ("570.148.08",)], ids=["no links", "stale links", "links"])
def test_of_two_drivers_the_loaded_one_is_used(
    stale: str, loaded: str, linked: tuple[str, ...], tmp_path: Path
) -> None:
    for folder, version in ((stale, "535.183.01"), (loaded, "570.148.08")):
        lay_out_all(tmp_path, *driver(folder, version, *(NAMES if version in linked else ())))
    files = read_driver_files(tmp_path, HostRoot(tmp_path), loaded="570.148.08")
    assert files.version == "570.148.08"
    assert [library.path for library in files.libraries] == [f"{loaded}/{name}.so.570.148.08" for name in NAMES]


def test_a_link_to_the_library_of_another_driver_is_a_name_of_the_loaded_one(tmp_path: Path) -> None:
    lay_out_all(tmp_path, *driver("/usr/lib64", "535.183.01", *NAMES))
    lay_out_all(tmp_path, *driver("/usr/lib64", "570.148.08"))
    files = read_driver_files(tmp_path, HostRoot(tmp_path), loaded="570.148.08")
    assert [library.names for library in files.libraries] == [
        (f"{name}.so.570.148.08", f"{name}.so.1") for name in NAMES
    ]


@pytest.mark.parametrize("loaded", [None, "", "999.1.1", "unknown.unknown.unknown", "570", "../../x", "a\0b"])
def test_without_the_loaded_driver_on_the_disk_the_first_driver_is_used(loaded: str | None, tmp_path: Path) -> None:
    lay_out_all(tmp_path, *driver("/usr/lib64", "535.183.01", "libcuda"))
    lay_out_all(tmp_path, *driver(DEBIAN, "570.148.08", "libcuda"))
    assert read_driver_files(tmp_path, HostRoot(tmp_path), loaded=loaded).version == "535.183.01"


def test_of_two_versions_of_a_platform_library_the_one_next_to_the_driver_or_with_a_link_is_used(
    tmp_path: Path,
) -> None:
    lay_out_all(tmp_path, *driver("/usr/lib64", "535.183.01", "libcuda"), *driver(DEBIAN, "570.148.08", "libcuda"))
    for folder, version in (("/usr/lib64", "1.1.1"), (DEBIAN, "1.1.0"), (DEBIAN, "1.1.2")):
        lay_out(tmp_path, f"{folder}/libnvidia-egl-gbm.so.{version} library x86_64")
    lay_out(tmp_path, "/usr/lib64/libnvidia-egl-gbm.so.1 -> libnvidia-egl-gbm.so.1.1.1")
    lay_out(tmp_path, f"{DEBIAN}/libnvidia-egl-gbm.so.1 -> libnvidia-egl-gbm.so.1.1.2")
    files = read_driver_files(tmp_path, HostRoot(tmp_path), loaded="570.148.08")
    assert [library.path for library in files.libraries if library.stem == "libnvidia-egl-gbm"] == [
        f"{DEBIAN}/libnvidia-egl-gbm.so.1.1.2"
    ]


def test_a_driver_in_an_additional_folder_is_found(tmp_path: Path) -> None:
    lay_out_all(
        tmp_path, *driver("/usr/lib64", "535.183.01", "libcuda"), *driver("/srv/gpu/lib", "570.148.08", "libcuda")
    )
    lay_out_all(tmp_path, "/srv/gpu/bin/nvidia-smi program", "/usr/bin/nvidia-smi program")
    files = read_driver_files(tmp_path, HostRoot(tmp_path), library_dirs=("/srv/gpu/lib",))
    assert files.version == "570.148.08"
    assert [(file.path, file.place) for file in files.binaries] == [("/srv/gpu/bin/nvidia-smi", "/usr/bin/nvidia-smi")]
    assert read(tmp_path).version == "535.183.01"
