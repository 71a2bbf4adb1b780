"""Daemons of claims with processes: the fake MPS program and the fake nvidia-smi of tests/gpu_core/mps."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dra_driver.claims.holding import Claim, Holding
from dra_driver.claims.mps_daemons import ClaimDaemons
from dra_driver.claims.sharing import MpsShare, claim_resource
from gpu_core.domain.inventory import GpuUuid
from gpu_core.mps.changes import MpsState
from gpu_core.mps.control import MpsFolder
from gpu_core.mps.state import write_state
from gpu_core.mps.tools import DriverPrograms
from node_core.errors import ClaimError, HostReadError, NodeError
from tests.gpu_core.mps.fake_program import SCRIPT, SMI
from tests.gpu_core.mps.stage import is_alive, kill
from tests.waiting import until

GPU = GpuUuid("GPU-1")


def claim(visible: str = GPU, *, is_prepared: bool = True, name: str = "a") -> Claim:
    share = MpsShare(index=0, threads=50, memory_mib=1024, visible=visible)
    held = Holding(requests=("r0",), pool="n1", device="gpu-0", gpu=GPU, mps=share)
    return Claim(namespace="ml", name=name, is_prepared=is_prepared, holdings=(held,))


class Machine:
    def __init__(self, folder: Path) -> None:
        self.root = folder / "mps"
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name, text in {"nvidia-cuda-mps-control": SCRIPT, "nvidia-smi": SMI}.items():
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)
        (self.bin / GPU).write_text("Default\n")
        self.has_programs = True
        self.error: NodeError | None = None
        self.drivers: list[ClaimDaemons] = []

    def driver(self) -> ClaimDaemons:
        """A new process of the driver."""
        for each in self.drivers:
            each.close(is_final=False)
        self.drivers.append(ClaimDaemons(str(self.root), self.programs, lambda: True))
        return self.drivers[-1]

    def programs(self) -> DriverPrograms:
        if self.error is not None:
            raise self.error
        names = ("nvidia-cuda-mps-control", "nvidia-smi") if self.has_programs else ()
        return DriverPrograms(paths={name: self.bin / name for name in names})

    def folder(self, uid: str) -> MpsFolder:
        return MpsFolder(base=self.root / "dra" / claim_resource(uid))

    def lines(self, uid: str, name: str) -> list[str]:
        path = self.folder(uid).pipe / name
        return path.read_text().splitlines() if path.exists() else []

    @property
    def mode(self) -> str:
        return (self.bin / GPU).read_text().strip()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.has_programs, machine.error = True, None
    last = machine.driver()
    for path in (machine.root / "dra").glob("claims/*"):
        last.stop(path.name, {})


def test_a_prepared_claim_has_its_daemon_until_it_ends(machine: Machine) -> None:
    driver = machine.driver()
    driver.reconcile({"u1": claim()})
    driver.await_ready("u1", claim())
    assert machine.lines("u1", "visible") == [GPU]
    assert [line for line in machine.lines("u1", "commands") if line.startswith("set")] == [
        "set_default_device_pinned_mem_limit 0 1024M", "set_default_active_thread_percentage 50",
    ]  # fmt: skip
    assert machine.mode == "Exclusive_Process"
    (pid,) = map(int, machine.lines("u1", "starts"))
    driver.stop("u1", {})
    assert not is_alive(pid, machine.folder("u1"))
    assert (machine.mode, machine.folder("u1").base.exists()) == ("Default", False)


def test_a_mig_device_has_no_compute_mode(machine: Machine) -> None:
    driver = machine.driver()
    driver.reconcile({"u1": claim("MIG-1")})
    driver.await_ready("u1", claim("MIG-1"))
    assert (machine.lines("u1", "visible"), machine.mode) == (["MIG-1"], "Default")


def test_a_daemon_that_dies_is_started_again_in_the_same_folder(machine: Machine) -> None:
    driver = machine.driver()
    driver.reconcile({"u1": claim()})
    driver.await_ready("u1", claim())
    kill(int(machine.lines("u1", "starts")[0]))
    until(lambda: len(machine.lines("u1", "starts")) == 2)
    until(lambda: driver._problem("u1") is None)
    driver.await_ready("u1", claim())


def test_the_next_process_adopts_a_daemon_and_restarts_a_dead_one(machine: Machine) -> None:
    first = machine.driver()
    first.reconcile({"u1": claim(), "u2": claim("MIG-1")})
    for uid in ("u1", "u2"):
        first.await_ready(uid, claim())
    first.close(is_final=False)
    kill(int(machine.lines("u2", "starts")[0]))
    second = machine.driver()
    second.reconcile({"u1": claim(), "u2": claim("MIG-1")})
    for uid in ("u1", "u2"):
        second.await_ready(uid, claim())
    until(lambda: len(machine.lines("u2", "starts")) == 2)
    assert len(machine.lines("u1", "starts")) == 1


def test_the_daemon_of_a_claim_that_is_gone_ends(machine: Machine) -> None:
    machine.driver().reconcile({"u1": claim()})
    machine.drivers[-1].await_ready("u1", claim())
    (pid,) = map(int, machine.lines("u1", "starts"))
    second = machine.driver()
    second.reconcile({"u2": claim(is_prepared=False)})
    until(lambda: not is_alive(pid, machine.folder("u1")) and machine.mode == "Default")


def test_the_daemon_of_a_recovered_claim_stays(machine: Machine) -> None:
    machine.driver().reconcile({"u1": claim()})
    machine.drivers[-1].await_ready("u1", claim())
    (pid,) = map(int, machine.lines("u1", "starts"))
    second = machine.driver()
    second.reconcile({"u1": claim(is_prepared=False, name="")})
    second.stop("u2", {"u1": claim(is_prepared=False, name="")})
    assert is_alive(pid, machine.folder("u1"))


def test_a_daemon_that_cannot_start_is_an_error_at_once(machine: Machine) -> None:
    machine.has_programs = False
    driver = machine.driver()
    driver.reconcile({"u1": claim("MIG-1")})
    with pytest.raises(ClaimError, match="claim ml/a: the driver does not contain nvidia-cuda-mps-control"):
        driver.await_ready("u1", claim("MIG-1"))


def test_a_gpu_that_another_daemon_still_has_is_not_given_away(machine: Machine) -> None:
    machine.folder("old").prepare()
    write_state(machine.folder("old"), MpsState(modes={GPU: 0}))
    driver = machine.driver()
    with pytest.raises(ClaimError, match="the MPS daemon of the claim old still has one of its GPUs"):
        driver.check("u1", [GPU], has_mps=False)
    driver.check("old", [GPU], has_mps=True)
    driver.check("u1", [GpuUuid("GPU-2")], has_mps=True)


def test_without_a_folder_claims_with_mps_are_refused() -> None:
    driver = ClaimDaemons(None, DriverPrograms, lambda: True)
    driver.reconcile({})
    driver.stop("u1", {})
    driver.check("u1", [GPU], has_mps=False)
    with pytest.raises(ClaimError, match="MPS needs a folder"):
        driver.check("u1", [GPU], has_mps=True)


def test_a_driver_that_cannot_be_read_does_not_prevent_the_end_of_a_claim(machine: Machine) -> None:
    driver = machine.driver()
    driver.reconcile({"u1": claim(), "u2": claim("MIG-1")})
    driver.await_ready("u1", claim())
    machine.error = HostReadError("the driver root has an input/output error")
    driver.stop("u2", {"u1": claim()})
    driver.await_ready("u1", claim())


def test_claims_with_mps_are_refused_while_mps_is_not_set_up(machine: Machine) -> None:
    driver = ClaimDaemons(None, machine.programs, lambda: True)
    for call in (lambda: driver.edits("u1"), lambda: driver.await_ready("u1", claim())):
        with pytest.raises(ClaimError, match="MPS needs a folder for its daemons"):
            call()
