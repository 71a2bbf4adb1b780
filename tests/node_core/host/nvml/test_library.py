"""Finding libnvidia-ml.so.1, and making pynvml use the one that was found: proved with a C library in a process of its own."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from node_core.errors import NvmlError
from node_core.host.nvml.library import LIBRARY, find_library, library_candidates
from node_core.host.nvml.real import open_nvml

COMPILER = shutil.which("cc")
STAND_IN = r"""
#include <string.h>
int nvmlInitWithFlags(unsigned flags) { (void)flags; return INIT; }
int nvmlShutdown(void) { return 0; }
int nvmlSystemGetDriverVersion(char *version, unsigned length) { strncpy(version, "999.01", length); return 0; }
"""
ASK = """
import sys
from node_core.errors import NvmlError
from node_core.host.nvml.real import open_nvml
try:
    with open_nvml(sys.argv[1]) as nvml:
        print(nvml.system_get_driver_version())
        nvml.device_get_count()
except NvmlError as error:
    print(error.call, error.code)
"""


def test_candidates_lie_below_the_driver_root_in_order() -> None:
    candidates = library_candidates("/driver-root")
    assert candidates[0] == "/driver-root/usr/lib64/libnvidia-ml.so.1"
    assert candidates[1] == "/driver-root/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1"
    assert candidates[-1] == "/driver-root/lib/aarch64-linux-gnu/libnvidia-ml.so.1"
    assert library_candidates("/")[0] == "/usr/lib64/libnvidia-ml.so.1"


def test_the_first_library_that_is_there_is_found(tmp_path: Path) -> None:
    assert find_library(str(tmp_path)) is None
    for folder in ("lib64", "usr/lib/x86_64-linux-gnu"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "libnvidia-ml.so.550.54.15").touch()
        (tmp_path / folder / LIBRARY).symlink_to("libnvidia-ml.so.550.54.15")
    assert find_library(str(tmp_path)) == str(tmp_path / "usr/lib/x86_64-linux-gnu" / LIBRARY)


def test_a_link_to_a_library_that_is_gone_is_no_library(tmp_path: Path) -> None:
    (tmp_path / "lib64").mkdir()
    (tmp_path / "lib64" / LIBRARY).symlink_to("libnvidia-ml.so.550.54.15")
    assert find_library(str(tmp_path)) is None


def test_a_library_that_cannot_be_loaded_is_named_in_the_error(tmp_path: Path) -> None:
    path = tmp_path / LIBRARY
    path.write_text("no library")
    with pytest.raises(NvmlError) as raised, open_nvml(str(path)):
        pass
    assert raised.value.code == "LIBRARY_NOT_FOUND"
    assert str(path) in str(raised.value)


def build(folder: Path, *, init: int) -> Path:
    assert COMPILER is not None
    source, library = folder / "nvml.c", folder / LIBRARY
    source.write_text(STAND_IN)
    subprocess.run(
        [COMPILER, "-shared", "-fPIC", f"-DINIT={init}", f"-Wl,-soname,{LIBRARY}", "-o", library, source], check=True
    )
    return library


def answers(library: Path) -> list[str]:
    done = subprocess.run([sys.executable, "-c", ASK, library], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler (cc)")
def test_pynvml_uses_the_library_at_the_path_and_a_function_it_lacks_is_not_found(tmp_path: Path) -> None:
    assert answers(build(tmp_path, init=0)) == ["999.01", "nvmlDeviceGetCount FUNCTION_NOT_FOUND"]


@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler (cc)")
def test_a_driver_that_does_not_initialise_is_an_error_by_its_name(tmp_path: Path) -> None:
    assert answers(build(tmp_path, init=18)) == ["nvmlInit_v2 LIB_RM_VERSION_MISMATCH"]
