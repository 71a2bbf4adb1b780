"""The driver that the host itself has, in contrast to the driver of a driver container."""

import os
from pathlib import Path

import pytest

from gpu_core.host.host_driver import find_host_driver
from node_core.errors import HostReadError
from node_core.host.root import HostRoot
from tests.roots.drivers.layout import DRIVERS, lay_out_all, lay_out_tree

LIBRARY = "/usr/lib64/libnvidia-ml.so.1 = x"
SMI = "/usr/bin/nvidia-smi program"
RELEASE = "/proc/sys/kernel/osrelease = 6.8.0"


def find(base: Path, *lines: str) -> str | None:
    lay_out_all(base, *lines)
    return find_host_driver(HostRoot(base))


@pytest.mark.parametrize("name", sorted({*DRIVERS} - {"driver-container", "tegra-l4t"}))
def test_the_driver_of_each_layout_of_a_host_is_found(tmp_path: Path, name: str) -> None:
    lay_out_tree(name, tmp_path)
    assert find_host_driver(HostRoot(tmp_path)) is not None


def test_the_driver_of_a_driver_container_does_not_belong_to_the_host(tmp_path: Path) -> None:
    lay_out_tree("driver-container", tmp_path / "run" / "nvidia" / "driver")
    assert find_host_driver(HostRoot(tmp_path)) is None


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (LIBRARY,),
        (SMI,),
        (LIBRARY, RELEASE, "/lib/modules/6.5.0/modules.dep = updates/dkms/nvidia.ko:"),
        (LIBRARY, RELEASE, "/lib/modules/6.8.0/modules.dep = kernel/drivers/net/nvidiax.ko:"),
        ("/usr/lib64/libnvidia-ml.so.1 -> /run/nvidia/driver/usr/lib64/x", "/run/nvidia/driver/usr/lib64/x = x", SMI),
        (LIBRARY, "/usr/bin/nvidia-smi -> /run/nvidia/driver/usr/bin/nvidia-smi"),
    ],
    ids=[
        *("nothing", "the library alone", "nvidia-smi alone", "a module of another kernel", "another module"),
        *("a link to the library of the container", "a link to the program of the container"),
    ],
)
def test_parts_of_a_driver_are_not_a_driver_of_the_host(tmp_path: Path, lines: tuple[str, ...]) -> None:
    assert find(tmp_path, *lines) is None


@pytest.mark.parametrize(
    "second",
    [
        SMI,
        "/usr/bin/nvidia-smi -> /etc/alternatives/nvidia-smi",
        "/lib/modules/6.8.0/modules.dep = updates/dkms/nvidia.ko.zst:",
        "/usr/lib/modules/6.8.0/modules.dep = updates/dkms/nvidia.ko:",
    ],
    ids=["nvidia-smi", "a link to a folder that is not mounted", "a module", "a module in /usr"],
)
def test_the_library_and_a_program_or_a_module_are_a_driver(tmp_path: Path, second: str) -> None:
    assert find(tmp_path, LIBRARY, RELEASE, second) == "/usr/lib64/libnvidia-ml.so.1"


def test_a_place_that_cannot_be_examined_is_an_error(tmp_path: Path) -> None:
    """A name that is too long for the file system has the same effect as a folder without permission, also for root."""
    (tmp_path / "usr").symlink_to("x" * (os.pathconf(tmp_path, "PC_NAME_MAX") + 1))
    with pytest.raises(HostReadError, match=r"cannot examine .*libnvidia-ml"):
        find_host_driver(HostRoot(tmp_path))
