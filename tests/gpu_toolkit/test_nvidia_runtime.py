"""The installation of NVIDIA's runtime."""

import subprocess
import tomllib
from pathlib import Path

import pytest

from gpu_toolkit.host import Host
from gpu_toolkit.nvidia_runtime import MARKER, NEEDED, install, render_config, uninstall
from node_core.errors import RuntimeConfigError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "bin").mkdir(parents=True)
    (folder / "lib").mkdir()
    for name in NEEDED:
        (folder / "bin" / name).write_text('#!/bin/sh\necho "$0 $* $XDG_CONFIG_HOME $LD_LIBRARY_PATH"\n')
    (folder / "lib/libnvidia-container.so.1").write_text("library")
    return folder


def test_each_script_calls_its_program_with_the_config_and_the_libraries(tmp_path: Path, source: Path) -> None:
    target = str(tmp_path / "toolkit")
    install(Host(), source, target, "/run/nvidia/driver")
    done = subprocess.run(
        [f"{target}/nvidia-container-runtime", "run", "a b"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{target}/nvidia-container-runtime.real run a b {target}/.config {target}\n"
    assert (Path(target) / "libnvidia-container.so.1").read_text() == "library"
    config = tomllib.loads((Path(target) / ".config/nvidia-container-runtime/config.toml").read_text())
    assert config["nvidia-container-cli"]["root"] == "/run/nvidia/driver"
    assert config["nvidia-container-cli"]["path"] == f"{target}/nvidia-container-cli"


def test_an_installation_replaces_its_own_and_can_be_removed(tmp_path: Path, source: Path) -> None:
    target = tmp_path / "toolkit"
    for _ in range(2):
        install(Host(tmp_path), source, "/toolkit", "/")
    (tmp_path / ".toolkit.new").mkdir()
    uninstall(Host(tmp_path), "/toolkit")
    assert not target.exists()
    assert not (tmp_path / ".toolkit.new").exists()


def test_a_folder_of_others_is_neither_replaced_nor_removed(tmp_path: Path, source: Path) -> None:
    (tmp_path / "toolkit").mkdir()
    with pytest.raises(RuntimeConfigError, match="was not made by gpu-toolkit"):
        install(Host(tmp_path), source, "/toolkit", "/")
    uninstall(Host(tmp_path), "/toolkit")
    assert (tmp_path / "toolkit").exists()
    assert not (tmp_path / "toolkit" / MARKER).exists()


def test_a_path_with_quotes_stays_a_path() -> None:
    assert (
        tomllib.loads(render_config('/a"b', "/", "/sbin/ldconfig"))["nvidia-container-cli"]["path"]
        == '/a"b/nvidia-container-cli'
    )


@pytest.mark.parametrize(
    ("names", "ldconfig"),
    [
        (("ldconfig", "ldconfig.real"), "@/sbin/ldconfig.real"),
        (("ldconfig",), "@/sbin/ldconfig"),
        ((), "@/sbin/ldconfig"),
    ],
    ids=["Ubuntu", "RHEL", "none"],
)
def test_the_program_of_the_host_is_used_and_not_the_script_of_ubuntu(
    tmp_path: Path, source: Path, names: tuple[str, ...], ldconfig: str
) -> None:
    (tmp_path / "sbin").mkdir()
    for name in names:
        (tmp_path / "sbin" / name).touch()
    install(Host(tmp_path), source, "/toolkit", "/")
    config = tomllib.loads((tmp_path / "toolkit/.config/nvidia-container-runtime/config.toml").read_text())
    assert config["nvidia-container-cli"]["ldconfig"] == ldconfig
