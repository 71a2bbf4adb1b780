"""The Windows driver's files under WSL."""

from pathlib import Path, PurePosixPath

from gpu_core.host.driver_files import DriverFiles, read_driver_files
from gpu_core.host.driver_root import Layout
from node_core.host.root import HostRoot
from tests.roots.drivers.layout import lay_out_tree


def read(root: Path) -> DriverFiles:
    return read_driver_files(root, HostRoot(root))


def test_wsl_is_detected_by_its_driver_store(tmp_path: Path) -> None:
    files = read(lay_out_tree("wsl", tmp_path))
    names = {PurePosixPath(file.path).name for file in files.wsl}
    assert files.layout is Layout.WSL
    assert {"libdxcore.so", "libcuda.so.1.1", "nvidia-smi", "nvcubins.bin", "nvcuda64.dll"} < names
    assert not names & {"nvfrwi.inf", "nvidia-smi.exe", "amdihk64.dll"}
    assert all(file.place == file.path for file in files.wsl)
