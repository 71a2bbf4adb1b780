"""The lists of a Jetson."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gpu_core.host.driver_files import DriverFiles, read_driver_files
from gpu_core.host.driver_root import Layout
from gpu_core.host.tegra import parse_list
from node_core.host.root import HostRoot
from tests.roots.drivers.layout import lay_out_tree


def read(root: Path) -> DriverFiles:
    return read_driver_files(root, HostRoot(root))


def test_a_jetson_is_detected_by_its_lists(tmp_path: Path) -> None:
    files = read(lay_out_tree("tegra-l4t", tmp_path))
    assert files.layout is Layout.TEGRA
    assert files.tegra is not None
    assert files.tegra.devices == ("/dev/nvhost-ctrl-gpu", "/dev/nvmap", "/dev/nvhost-nvdec")
    assert files.tegra.missing == ("/usr/lib/aarch64-linux-gnu/tegra/libnvargus.so",)
    assert ("tegra/libcuda.so", "/usr/lib/aarch64-linux-gnu/tegra/libcuda.so.1.1") in [
        (target, file.path) for target, file in files.tegra.links
    ]


@given(st.text(max_size=200))
def test_any_text_can_be_parsed_as_a_list(text: str) -> None:
    for entry in parse_list(text):
        assert entry.kind in ("dev", "dir", "lib", "sym")
        assert entry.place.startswith("/")
        assert "\0" not in entry.place


def test_invalid_lines_of_a_list_are_ignored() -> None:
    text = "dev, /dev/nvmap\n lib ,/usr/lib/a b.so \r\nsym,relative\nexec, /bin/sh\nlib, /usr/../etc/shadow\nlib, /a\0b\ndir,\n"
    assert parse_list(text) == (("dev", "/dev/nvmap"), ("lib", "/usr/lib/a b.so"))
