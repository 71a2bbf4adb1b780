"""The paths and places of a driver root."""

from pathlib import Path

import pytest

from gpu_core.host.driver_root import DRIVER_CONTAINER, DriverRoot
from tests.roots.drivers.layout import lay_out


@pytest.mark.parametrize("folder", ["a:b", "a\nb", "a\x1b[2Jb", "a\u202eb", "a\udcffb"])
def test_a_path_that_is_not_plain_is_refused(folder: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "there").touch()
    lay_out(tmp_path, "/plain/")
    (tmp_path / "plain" / "link").symlink_to(f"../{folder}/there")
    root = DriverRoot(tmp_path)
    assert root.resolve(f"{folder}/there") is None
    assert root.resolve("plain/link") is None


def test_an_absolute_link_of_a_driver_container_leads_to_its_own_file(tmp_path: Path) -> None:
    """Debian's alternatives are absolute links, and a host with leftovers of a driver has the same ones."""
    link, target = "/usr/lib64/libcuda.so.1", "/etc/alternatives/libcuda.so.1"
    for root in ("", "/run/nvidia/driver"):
        lay_out(tmp_path, f"{root}{link} -> {target}")
        lay_out(tmp_path, f"{root}{target} = a library")
    assert DriverRoot(tmp_path, DRIVER_CONTAINER).resolve(link) == f"/run/nvidia/driver{target}"
    assert DriverRoot(tmp_path).resolve(link) == target


def test_the_place_of_a_path_outside_a_nested_root_is_the_path(tmp_path: Path) -> None:
    root = DriverRoot(tmp_path, "run/opengl-driver")
    assert root.place("/run/opengl-driver/lib/libcuda.so.1") == "/lib/libcuda.so.1"
    assert root.place("/nix/store/x/lib/libcuda.so.1") == "/nix/store/x/lib/libcuda.so.1"
    assert root.place("/run/opengl-driver-2/lib") == "/run/opengl-driver-2/lib"
