"""Resets of GPUs, and the release of NVML around them."""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from gpu_core.host.release_requests import FOLDER
from gpu_core.mig.model import MigGpu
from gpu_core.nvml.lock import lock_path
from mig_manager.reset import REQUEST, REQUEST_SECONDS, GpuReset, SmiReset, find_smi, refuse_reset
from node_core.errors import MigError
from node_core.host.root import HostRoot
from tests.mig_manager.places import Place
from tests.waiting import until


@pytest.fixture
def gpus(tmp_path: Path) -> tuple[MigGpu, ...]:
    return Place(tmp_path / "mig.json").read()


class Bench:
    """A node whose agents obey requests. is_stuck: they do not."""

    def __init__(self, folder: Path, *, is_stuck: bool = False) -> None:
        self.folder, self.is_stuck, self.now = folder, is_stuck, 0.0
        self.request = folder / FOLDER / REQUEST
        self.during: list[bool] = []

    def run(self, _: Sequence[MigGpu]) -> None:
        self.during.append(self.request.exists())

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def reset(self, gpus: Sequence[MigGpu]) -> None:
        GpuReset(
            lock_dir=self.folder,
            run=self.run,
            is_released=lambda: self.request.exists() and not self.is_stuck,
            clock=lambda: self.now,
            sleep=self.sleep,
        ).reset(gpus)


def test_the_agents_close_nvml_during_the_reset_and_open_it_afterwards(
    tmp_path: Path, gpus: tuple[MigGpu, ...]
) -> None:
    bench = Bench(tmp_path)
    bench.reset(gpus)
    assert bench.during == [True]
    assert not bench.request.exists()


def test_an_agent_that_does_not_close_nvml_prevents_the_reset(tmp_path: Path, gpus: tuple[MigGpu, ...]) -> None:
    bench = Bench(tmp_path)
    descriptor = os.open(lock_path(tmp_path, "gfd"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    try:
        with pytest.raises(MigError, match="still have NVML open: gfd"):
            bench.reset(gpus)
    finally:
        os.close(descriptor)
    assert (bench.during, bench.request.exists()) == ([], False)


def test_the_own_session_prevents_the_reset_too(tmp_path: Path, gpus: tuple[MigGpu, ...]) -> None:
    with pytest.raises(MigError, match="mig-manager"):
        Bench(tmp_path, is_stuck=True).reset(gpus)


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path, gpus: tuple[MigGpu, ...]) -> None:
    (tmp_path / FOLDER).write_text("")
    with pytest.raises(MigError, match="cannot write the release request"):
        Bench(tmp_path).reset(gpus)


def test_with_skip_reset_the_gpu_is_named(gpus: tuple[MigGpu, ...]) -> None:
    with pytest.raises(MigError, match=r"GPU 0 .*--mig-skip-reset"):
        refuse_reset(gpus)


def smi(folder: Path, script: str) -> SmiReset:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return SmiReset(find=lambda: (program, "/libs"))


def test_nvidia_smi_resets_the_gpus_by_their_addresses(tmp_path: Path, gpus: tuple[MigGpu, ...]) -> None:
    smi(tmp_path, f'echo "$LD_LIBRARY_PATH $@" > {tmp_path}/called')(gpus)
    addresses = ",".join(str(gpu.address) for gpu in gpus)
    assert (tmp_path / "called").read_text() == f"/libs --gpu-reset -i {addresses}\n"


def test_the_output_of_a_failed_reset_is_shown(tmp_path: Path, gpus: tuple[MigGpu, ...]) -> None:
    with pytest.raises(MigError, match="is currently being used by one or more other processes"):
        smi(tmp_path, "echo GPU 0 is currently being used by one or more other processes; exit 255")(gpus)


def test_a_program_that_cannot_start_is_an_error(tmp_path: Path, gpus: tuple[MigGpu, ...]) -> None:
    with pytest.raises(MigError, match="cannot start"):
        SmiReset(find=lambda: (tmp_path / "missing", ""))(gpus)
    with pytest.raises(MigError, match="does not contain nvidia-smi"):
        SmiReset(find=lambda: find_smi(tmp_path, HostRoot(tmp_path)))(gpus)


def test_the_request_is_renewed_during_a_long_reset_and_ends_with_it(tmp_path: Path, gpus: tuple[MigGpu, ...]) -> None:
    request = tmp_path / FOLDER / REQUEST

    def run(_: Sequence[MigGpu]) -> None:
        request.unlink()
        until(request.exists)
        assert request.read_text() == f"{REQUEST_SECONDS:g}s\n"

    GpuReset(lock_dir=tmp_path, run=run, is_released=request.exists, renew_seconds=0.001).reset(gpus)
    assert not request.exists()


def test_the_request_of_a_process_that_was_killed_during_a_reset_can_be_ended(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.request.parent.mkdir()
    bench.request.write_text("300s\n")
    GpuReset(lock_dir=tmp_path, run=bench.run, is_released=bench.request.exists).end()
    assert not bench.request.exists()
