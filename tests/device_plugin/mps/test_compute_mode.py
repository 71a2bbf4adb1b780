"""Compute modes through a stand-in for nvidia-smi that keeps them in files."""

import stat
from pathlib import Path

import pytest

from device_plugin.mps.compute_mode import SmiComputeModes
from device_plugin.mps.control import MpsError
from node_core.domain.inventory import GpuUuid

SCRIPT = """#!/bin/sh
file="$(dirname "$0")/$2"
[ -e "$file" ] || { echo "No devices were found" >&2; exit 6; }
case $3 in
  -c) case $4 in 0) echo Default ;; 3) echo Exclusive_Process ;; *) exit 2 ;; esac > "$file" ;;
  *) cat "$file" ;;
esac
"""
ONE = GpuUuid("GPU-1")


@pytest.fixture
def modes(tmp_path: Path) -> SmiComputeModes:
    program = tmp_path / "nvidia-smi"
    program.write_text(SCRIPT)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / ONE).write_text("Default\n")
    return SmiComputeModes(program)


def test_a_mode_is_read_and_written_as_nvml_numbers_it(modes: SmiComputeModes) -> None:
    assert modes.read(ONE) == 0
    modes.write(ONE, 3)
    assert modes.read(ONE) == 3
    modes.write(ONE, 0)
    assert modes.read(ONE) == 0


def test_what_the_program_says_is_what_people_read(modes: SmiComputeModes, tmp_path: Path) -> None:
    with pytest.raises(MpsError, match="No devices were found"):
        modes.read(GpuUuid("GPU-2"))
    (tmp_path / ONE).write_text("[N/A]\n")
    with pytest.raises(MpsError, match=r"of the compute mode of GPU-1: '\[N/A\]'"):
        modes.read(ONE)


def test_without_the_program_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(MpsError, match="the driver has no nvidia-smi"):
        SmiComputeModes(None).read(ONE)
    with pytest.raises(MpsError, match=r"cannot start .*: No such file"):
        SmiComputeModes(tmp_path / "gone").write(ONE, 0)
