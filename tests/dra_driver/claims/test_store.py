"""The lock of the record, which two drivers share during an update."""

from pathlib import Path

import pytest

from dra_driver.claims.holding import Claim, Holding
from dra_driver.claims.store import ClaimStore
from gpu_core.domain.inventory import GpuUuid


class WaitedError(Exception):
    pass


def wait(_: float) -> None:
    raise WaitedError


def test_another_driver_waits_for_the_lock(tmp_path: Path) -> None:
    one, other = ClaimStore(tmp_path / "claims.json", "b"), ClaimStore(tmp_path / "claims.json", "b", sleep=wait)
    with one.lock(), pytest.raises(WaitedError), other.lock():
        pass
    with other.lock():
        pass


def test_the_lock_is_free_after_an_error(tmp_path: Path) -> None:
    store = ClaimStore(tmp_path / "claims.json", "b", sleep=wait)
    with pytest.raises(ZeroDivisionError), store.lock():
        raise ZeroDivisionError
    with store.lock():
        pass


def test_the_gpus_of_claims_are_read_without_the_lock(tmp_path: Path) -> None:
    store = ClaimStore(tmp_path / "claims.json", "b", sleep=wait)
    assert store.held_gpus() == frozenset()
    held = Holding(requests=("gpu",), pool="n1", device="gpu-0", gpu="GPU-0")
    with store.lock():
        store.write({"u": Claim(namespace="ml", name="a", is_prepared=False, holdings=(held,))})
        assert ClaimStore(tmp_path / "claims.json", "b", sleep=wait).held_gpus() == frozenset((GpuUuid("GPU-0"),))
    assert ClaimStore(tmp_path / "claims.json", "next boot").held_gpus() == frozenset()


def test_the_gpus_of_a_damaged_record_are_unknown_and_the_record_stays(tmp_path: Path) -> None:
    (tmp_path / "claims.json").write_text("{")
    assert ClaimStore(tmp_path / "claims.json", "b").held_gpus() is None
    assert (tmp_path / "claims.json").exists()
