"""Compute modes through a fake nvidia-smi that stores them in files."""

import stat
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from gpu_core.domain.inventory import GpuUuid
from gpu_core.host.nvidia_smi import NvidiaSmi, SmiError
from gpu_core.mps.compute_mode import SmiComputeModes, restore_modes
from gpu_core.mps.control import MpsError
from tests.gpu_core.mps.fake_program import SMI

ONE, TWO = GpuUuid("GPU-1"), GpuUuid("GPU-2")


@pytest.fixture
def modes(tmp_path: Path) -> SmiComputeModes:
    program = tmp_path / "nvidia-smi"
    program.write_text(SMI)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / ONE).write_text("Default\n")
    (tmp_path / TWO).write_text("Exclusive_Process\n")
    return SmiComputeModes(NvidiaSmi(program))


def test_modes_of_several_gpus_are_read_and_written_at_once(modes: SmiComputeModes) -> None:
    assert modes.read([ONE, TWO]) == {ONE: 0, TWO: 3}
    modes.write([ONE, TWO], 3)
    assert modes.read([ONE, TWO]) == {ONE: 3, TWO: 3}
    modes.write([TWO], 0)
    assert modes.read([ONE, TWO]) == {ONE: 3, TWO: 0}


def test_an_error_contains_the_output_of_nvidia_smi(modes: SmiComputeModes, tmp_path: Path) -> None:
    with pytest.raises(SmiError, match="No devices were found"):
        modes.read([GpuUuid("GPU-3")])
    (tmp_path / ONE).write_text("[N/A]\n")
    with pytest.raises(MpsError, match=r"does not report the compute modes: 'GPU-1, \[N/A\]'"):
        modes.read([ONE])


def test_without_nvidia_smi_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SmiError, match="the driver does not contain nvidia-smi"):
        SmiComputeModes(NvidiaSmi(None)).read([ONE])
    with pytest.raises(SmiError, match=r"cannot start .*: No such file"):
        SmiComputeModes(NvidiaSmi(tmp_path / "gone")).write([ONE], 0)


class ReadOnlyModes:
    def read(self, gpus: Collection[GpuUuid]) -> Mapping[GpuUuid, int]:
        return {gpu: {ONE: 0, TWO: 3}[gpu] for gpu in gpus}

    def write(self, gpus: Collection[GpuUuid], mode: int) -> None:
        raise SmiError("Insufficient Permissions")


def test_a_mode_that_was_never_changed_counts_as_restored() -> None:
    assert restore_modes(ReadOnlyModes(), {ONE: 0, TWO: 0}) == {TWO: "Insufficient Permissions"}
