"""The driver image for tests."""

import os
import subprocess
from pathlib import Path

import pytest

from gpu_core.host.driver_libraries import locate_driver
from gpu_core.host.host_driver import find_host_driver
from gpu_core.host.platform import may_have_gpus
from node_core.host.root import HostRoot
from tests.e2e.cluster.archive import Entry
from tests.e2e.driver_image.build import ROOT, SCENARIO, VERSION, driver_entries, install_driver, write_gpu_host
from tests.nvml.build import COMPILER, IN_CI, NO_COMPILER

HERE = Path(__file__).parent
needs_compiler = pytest.mark.skipif(COMPILER is None and not IN_CI, reason=NO_COMPILER)


@pytest.fixture(scope="session")
def entries(tmp_path_factory: pytest.TempPathFactory) -> list[Entry]:
    return list(driver_entries(tmp_path_factory.mktemp("image")))


@needs_compiler
def test_the_image_contains_a_driver_root_with_one_version(entries: list[Entry], tmp_path: Path) -> None:
    for each in entries:
        if each.path.startswith(f"{ROOT}/usr/lib"):
            path = tmp_path / each.path
            path.parent.mkdir(parents=True, exist_ok=True)
            if each.link:
                path.symlink_to(each.link)
            else:
                path.write_bytes(each.content if isinstance(each.content, bytes) else each.content.read_bytes())
    found = locate_driver(tmp_path / ROOT)
    assert found is not None
    assert found.version == VERSION


@needs_compiler
def test_a_host_can_have_the_same_driver(tmp_path: Path) -> None:
    install_driver(tmp_path / "usr/local/nvidia")
    assert find_host_driver(HostRoot(tmp_path)) == f"/usr/local/nvidia/lib64/libnvidia-ml.so.{VERSION}"


@needs_compiler
def test_the_programs_are_executable_and_say_that_they_simulate(entries: list[Entry]) -> None:
    programs = [each for each in entries if each.path in ("usr/bin/nvidia-driver", "usr/bin/nvidia-smi")]
    assert [each.executable for each in programs] == [True, True]
    assert all(isinstance(each.content, bytes) and b"SIMULATED" in each.content for each in programs)


def test_the_host_has_the_gpus_of_the_scenario(tmp_path: Path) -> None:
    assert write_gpu_host(tmp_path / "host") == tmp_path / "host" / "sys"
    assert may_have_gpus(HostRoot(tmp_path / "host"))
    assert SCENARIO == "h100x8"


def run_driver(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs nvidia-driver with programs that record their arguments in place of those that need root."""
    return subprocess.run(
        ["sh", str(HERE / "nvidia-driver.sh"), *arguments],
        env={"PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


def test_another_command_than_init_is_refused(tmp_path: Path) -> None:
    done = run_driver(tmp_path, "reload")
    assert (done.returncode, done.stderr) == (2, "nvidia-driver, SIMULATED: usage: nvidia-driver init\n")


def test_the_scripts_are_valid() -> None:
    for script in HERE.glob("*.sh"):
        assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0
