"""Compute modes through a stand-in for nvidia-smi that keeps them in files."""

import stat
from pathlib import Path

import pytest

from device_plugin.mps.compute_mode import SmiComputeModes
from device_plugin.mps.control import MpsError
from node_core.domain.inventory import GpuUuid

SCRIPT = """#!/bin/sh
folder="$(dirname "$0")"
for gpu in $(echo "$2" | tr , " "); do
  [ -e "$folder/$gpu" ] || { echo "No devices were found" >&2; exit 6; }
  case $3 in
    -c) case $4 in 0) echo Default ;; 3) echo Exclusive_Process ;; *) exit 2 ;; esac > "$folder/$gpu" ;;
    *) echo "$gpu, $(cat "$folder/$gpu")" ;;
  esac
done
"""
ONE, TWO = GpuUuid("GPU-1"), GpuUuid("GPU-2")


@pytest.fixture
def modes(tmp_path: Path) -> SmiComputeModes:
    program = tmp_path / "nvidia-smi"
    program.write_text(SCRIPT)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / ONE).write_text("Default\n")
    (tmp_path / TWO).write_text("Exclusive_Process\n")
    return SmiComputeModes(program)


def test_modes_are_read_and_written_of_many_gpus_at_once(modes: SmiComputeModes) -> None:
    assert modes.read([ONE, TWO]) == {ONE: 0, TWO: 3}
    modes.write([ONE, TWO], 3)
    assert modes.read([ONE, TWO]) == {ONE: 3, TWO: 3}
    modes.write([TWO], 0)
    assert modes.read([ONE, TWO]) == {ONE: 3, TWO: 0}


def test_what_the_program_says_is_what_people_read(modes: SmiComputeModes, tmp_path: Path) -> None:
    with pytest.raises(MpsError, match="No devices were found"):
        modes.read([GpuUuid("GPU-3")])
    (tmp_path / ONE).write_text("[N/A]\n")
    with pytest.raises(MpsError, match=r"says of compute modes: 'GPU-1, \[N/A\]'"):
        modes.read([ONE])


def test_without_the_program_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(MpsError, match="the driver has no nvidia-smi"):
        SmiComputeModes(None).read([ONE])
    with pytest.raises(MpsError, match=r"cannot start .*: No such file"):
        SmiComputeModes(tmp_path / "gone").write([ONE], 0)
