"""Names of PCI devices from pci.ids."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_core.discovery.pci_ids import PATHS, parse_device_names, read_device_names
from node_core.errors import HostReadError
from node_core.host.root import HostRoot

IDS = """# a comment
10de  NVIDIA Corporation
\t2330  GH100 [H100 SXM5 80GB]
\t\t10de 16c1  H100 SXM5 80GB
\t20B0  GA100 [A100 SXM4 40GB]

10df  Emulex Corporation
\t2335  Not one of NVIDIA's
C 03  Display controller
\t00  VGA compatible controller
"""


def write_names(root: Path, text: str = IDS, path: str = PATHS[0]) -> None:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_the_first_existing_file_is_read_and_must_be_readable(tmp_path: Path) -> None:
    root = HostRoot(tmp_path)
    assert read_device_names(root, "10de") == {}
    write_names(tmp_path, IDS.replace("GH100", "second"), PATHS[3])
    assert read_device_names(root, "10de")["2330"] == "second [H100 SXM5 80GB]"
    write_names(tmp_path)
    assert read_device_names(root, "10de")["2330"] == "GH100 [H100 SXM5 80GB]"
    (tmp_path / PATHS[0].lstrip("/")).unlink()
    (tmp_path / PATHS[0].lstrip("/")).mkdir()
    with pytest.raises(HostReadError, match=r"/usr/share/misc/pci\.ids"):
        read_device_names(root, "10de")


def test_only_devices_of_the_vendor_are_named() -> None:
    assert parse_device_names(IDS, "10de") == {"2330": "GH100 [H100 SXM5 80GB]", "20b0": "GA100 [A100 SXM4 40GB]"}
    assert parse_device_names(IDS, "10df") == {"2335": "Not one of NVIDIA's"}


@given(st.lists(st.text(alphabet="\t #10deC \0é", max_size=12), max_size=12).map("\n".join))
def test_any_text_can_be_parsed(text: str) -> None:
    for device, name in parse_device_names(text, "10de").items():
        assert device == device.lower()
        assert "\n" not in name
