"""The check that starts a container."""

import subprocess
import sys
from pathlib import Path

import pytest

from gpu_validator.cdi import CdiDevices, SpecFile, select_devices
from gpu_validator.check import Check, Verdict
from gpu_validator.container import FIRST_MISSING, MAX_PATHS, ContainerCheck, container_command, judge
from gpu_validator.sandbox import ContainerEnd, ContainerRun
from node_core.errors import KubeletError
from tests.gpu_validator.nodes import KIND, inventory, spec

FOUND = inventory()
IDS = frozenset(each.uuid for each in FOUND.gpus)
FIRST = min(IDS)
SPEC = spec(*sorted(IDS), mounts=[{"hostPath": "/a", "containerPath": "/usr/lib/libcuda.so.1"}])


def devices() -> CdiDevices | None:
    return select_devices([SpecFile(path=Path("/var/run/cdi/a.json"), spec=SPEC)])


class Runs:
    """results: of each run, in order."""

    def __init__(self, *results: ContainerEnd | KubeletError) -> None:
        self.results = list(results)
        self.runs: list[ContainerRun] = []

    def run(self, container: ContainerRun) -> ContainerEnd:
        self.runs.append(container)
        result = self.results.pop(0)
        if isinstance(result, KubeletError):
            raise result
        return result

    def check(self, image: str | None = "sha256:1") -> Check:
        return ContainerCheck(find_image=lambda: image, run=self.run).check(FOUND, devices(), IDS)


def test_a_container_that_has_the_paths_of_its_device_passes() -> None:
    runs = Runs(ContainerEnd(exit_code=0))
    assert runs.check().sentence == f"a container started with {KIND}={FIRST}, and has its 2 paths"
    assert (runs.runs[0].devices, runs.runs[0].image) == ((f"{KIND}={FIRST}",), "sha256:1")


def test_a_path_that_the_container_lacks_is_named() -> None:
    check = Runs(ContainerEnd(exit_code=FIRST_MISSING + 1)).check()
    assert (check.verdict, check.sentence) == (
        Verdict.FAILED,
        f"a container with {KIND}={FIRST} lacks /usr/lib/libcuda.so.1",
    )


def test_another_status_is_a_failure_with_the_reason_of_the_runtime() -> None:
    check = Runs(ContainerEnd(exit_code=1, reason="OOMKilled")).check()
    assert check.sentence.endswith("ended with status 1 (OOMKilled)")


def test_a_runtime_that_cannot_resolve_the_device_fails() -> None:
    error = KubeletError("rpc error: code = UNKNOWN desc = unresolvable CDI devices")
    check = Runs(error, error, error).check()
    assert (check.verdict, check.sentence) == (Verdict.FAILED, error.message)
    assert check.remedy


def test_a_container_that_the_kubelet_removed_is_started_again() -> None:
    killed, gone = ContainerEnd(exit_code=137), KubeletError("not found")
    assert Runs(killed, gone, ContainerEnd(exit_code=0)).check().verdict is Verdict.PASSED
    assert Runs(killed, killed, killed).check().verdict is Verdict.NOT_APPLICABLE


def test_without_cdi_or_an_image_no_container_starts() -> None:
    runs = Runs()
    assert runs.check(image=None).verdict is Verdict.NOT_APPLICABLE
    check = ContainerCheck(find_image=lambda: "a", run=runs.run).check(FOUND, None, IDS)
    assert (check.verdict, runs.runs) == (Verdict.NOT_APPLICABLE, [])


@pytest.mark.parametrize(
    ("paths", "status"), [(("/",), 0), ((), 0), (("/", "/missing", "/lacking"), FIRST_MISSING + 1)]
)
def test_the_status_of_the_program_is_the_number_of_the_first_missing_path(paths: tuple[str, ...], status: int) -> None:
    assert subprocess.run(container_command(paths, sys.executable), check=False).returncode == status


@pytest.mark.parametrize("code", [1, 2, 125, 127, 137, 139])
def test_a_status_of_python_of_a_runtime_or_of_a_signal_is_no_missing_path(code: int) -> None:
    """A status of both kinds would hide a missing path: after SIGKILL the verdict is `not applicable`."""
    many = tuple(f"/{number}" for number in range(200))
    assert code not in {FIRST_MISSING + at for at in range(len(container_command(many)[5:]))}
    assert f"ended with status {code}" in judge("x", many, ContainerEnd(exit_code=code)).sentence


def test_the_last_path_that_is_checked_can_be_named() -> None:
    many = tuple(f"/missing-{number}" for number in range(200))
    assert judge("x", many, ContainerEnd(exit_code=FIRST_MISSING + MAX_PATHS - 1)).sentence.endswith(
        "lacks /missing-119"
    )
    assert judge("x", many, ContainerEnd(exit_code=0)).sentence.endswith(f"has its {MAX_PATHS} paths")
