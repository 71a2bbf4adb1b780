"""The versions of the kernel module and the library, and the message if they differ."""

import platform
from pathlib import Path

import pytest

from gpu_core.nvml.driver_version import (
    MODULE,
    PROC,
    DriverVersions,
    find_library_version,
    parse_proc_version,
    read_driver_versions,
)
from node_core.errors import HostReadError
from node_core.host.root import HostRoot
from tests.roots.drivers.layout import elf_header, lay_out_all

CLOSED = """NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024
GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)
"""
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.172.08  Release Build  (dvs-builder@U22)  Tue Jul  8 2025\n"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (CLOSED, "550.54.15"),
        (OPEN, "570.172.08"),
        ("NVRM version: NVIDIA UNIX aarch64 Kernel Module  535.104  Wed", "535.104"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module  580.82.07-vendor1  Release", "580.82.07"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module  535.129.03.1  Release", "535.129.03.1"),
        ("NVRM version: nothing\nGCC version:  gcc version 12.2.0 (Debian)", None),
        ("GCC version:  gcc version 12.2.0", None),
        ("", None),
    ],
    ids=["closed", "open", "two numbers", "with a suffix", "four numbers", "without", "only the compiler's", "empty"],
)
def test_the_modules_version_is_in_its_proc_file(text: str, version: str | None) -> None:
    assert parse_proc_version(text) == version


def host(folder: Path, files: dict[str, str]) -> HostRoot:
    for name, content in files.items():
        path = folder / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return HostRoot(folder)


def install(folder: Path, version: str) -> Path:
    """A driver root with a library and the links that the driver's installer creates."""
    libraries = folder / "usr/lib64"
    libraries.mkdir(parents=True)
    (libraries / f"libnvidia-ml.so.{version}").write_bytes(elf_header(platform.machine()))
    (libraries / "libnvidia-ml.so.1").symlink_to(f"libnvidia-ml.so.{version}")
    return folder


@pytest.mark.parametrize(
    ("files", "version"),
    [
        ({MODULE: "550.54.15\n"}, "550.54.15"),
        ({MODULE: "550.54.15\n", PROC: OPEN}, "550.54.15"),
        ({MODULE: "550.54.15-open\n", PROC: OPEN}, "550.54.15"),
        ({PROC: CLOSED}, "550.54.15"),
        ({MODULE: "garbage\n", PROC: CLOSED}, "550.54.15"),
        ({MODULE: "550.54.15; rm -rf /\n"}, None),
        ({}, None),
    ],
    ids=["sysfs", "both", "sysfs with a suffix", "proc", "garbage in sysfs", "hostile", "no module"],
)
def test_the_modules_version_is_sysfss_or_else_procs(
    tmp_path: Path, files: dict[str, str], version: str | None
) -> None:
    found = read_driver_versions(host(tmp_path / "host", files), install(tmp_path / "driver", "550.54.15"))
    assert found == DriverVersions(module=version, library="550.54.15")
    assert found.mismatch is None


def test_a_mismatch_is_a_sentence_with_both_versions_and_the_solution(tmp_path: Path) -> None:
    found = read_driver_versions(
        host(tmp_path / "host", {MODULE: "550.54.15"}), install(tmp_path / "driver", "570.172.08")
    )
    assert found.mismatch == (
        "the loaded NVIDIA kernel module has version 550.54.15, the installed library has version 570.172.08: "
        "reboot, or unload the module (rmmod) and load the new one"
    )


@pytest.mark.parametrize("stale", ["usr/lib64", "usr/lib"])
def test_of_two_libraries_the_one_with_the_version_of_the_module_counts(stale: str, tmp_path: Path) -> None:
    machine = platform.machine()
    lay_out_all(
        tmp_path,
        f"/{stale}/libnvidia-ml.so.535.183.01 library {machine}",
        f"/{stale}/libnvidia-ml.so.1 -> libnvidia-ml.so.535.183.01",
        f"/usr/lib/{machine}-linux-gnu/libnvidia-ml.so.570.148.08 library {machine}",
    )
    assert find_library_version(tmp_path, "570.148.08") == "570.148.08"
    assert find_library_version(tmp_path, "580.1.1") == find_library_version(tmp_path, None) == "535.183.01"


def test_a_library_without_a_version_is_not_a_mismatch(tmp_path: Path) -> None:
    assert find_library_version(tmp_path, None) is None
    folder = tmp_path / "usr/lib64"
    folder.mkdir(parents=True)
    (folder / "libnvidia-ml.so.1").write_bytes(elf_header(platform.machine()))
    assert find_library_version(tmp_path, None) is None
    assert DriverVersions(module="550.54.15", library=None).mismatch is None


def test_a_version_that_cannot_be_read_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / MODULE.lstrip("/")).mkdir(parents=True)
    with pytest.raises(HostReadError, match=MODULE):
        read_driver_versions(HostRoot(tmp_path), tmp_path)
