"""The PCI functions that the NVIDIA driver uses."""

from pathlib import Path

from gpu_core.host.bound import DRIVER, read_bound_addresses
from node_core.host.root import HostRoot


def test_the_addresses_are_the_links_of_the_driver(tmp_path: Path) -> None:
    folder = tmp_path / DRIVER.lstrip("/")
    folder.mkdir(parents=True)
    for name in ("0000:1b:00.0", "0000:43:00.0", "bind", "module", "new_id", "uevent"):
        (folder / name).touch()
    assert read_bound_addresses(HostRoot(tmp_path)) == {"0000:1b:00.0", "0000:43:00.0"}


def test_without_the_driver_there_are_none(tmp_path: Path) -> None:
    assert read_bound_addresses(HostRoot(tmp_path)) == frozenset()
