"""The record of claims, which two drivers of different versions share during an update."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def record(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> ClaimStore:
    """A record of two claims that a driver of another version wrote."""
    store = ClaimStore(tmp_path / "claims.json", "b")
    store.write({name: claim_of(name) for name in ("one", "two")})
    content = json.loads((tmp_path / "claims.json").read_text())
    change(content)
    (tmp_path / "claims.json").write_text(json.dumps(content))
    return store


def claim_of(name: str, gpu: str = "GPU-0") -> Claim:
    held = Holding(requests=("gpu",), pool="n1", device="gpu-0", gpu=gpu, time_slice="Long")
    return Claim(namespace="ml", name=name, is_prepared=True, holdings=(held,))


def test_an_older_driver_retains_the_new_fields_of_the_claims_that_it_does_not_change(tmp_path: Path) -> None:
    def add_fields(content: dict[str, Any]) -> None:
        for claim in content["claims"].values():
            claim["since"] = 7
            claim["holdings"][0] |= {"priority": "high", "limits": {"memory": [1, 2]}}

    store = record(tmp_path, add_fields)
    claims = store.read().claims
    store.write({**claims, "two": claim_of("two", "GPU-1"), "three": claim_of("three")})
    written = json.loads((tmp_path / "claims.json").read_text())["claims"]
    assert written["one"]["since"] == 7
    assert written["one"]["holdings"][0]["limits"] == {"memory": [1, 2]}
    assert "since" not in written["two"], "the fields may not fit a claim that has changed"
    assert {uid: claim.name for uid, claim in store.read().claims.items()} == {
        "one": "one",
        "two": "two",
        "three": "three",
    }
    store.write({})
    assert store.read().claims == {}


def test_a_newer_driver_reads_the_record_of_an_older_one(tmp_path: Path) -> None:
    def remove_fields(content: dict[str, Any]) -> None:
        for claim in content["claims"].values():
            for name in ("time_slice", "mps", "share_id", "is_admin"):
                del claim["holdings"][0][name]

    held = record(tmp_path, remove_fields).read().claims["one"].holdings[0]
    assert (held.gpu, held.time_slice, held.mps, held.is_admin) == ("GPU-0", None, None, False)


def test_a_damaged_record_is_replaced_by_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "claims.json").write_bytes(b"{")
    store = ClaimStore(tmp_path / "claims.json", "b")
    store.write({"one": claim_of("one")})
    assert store.read().claims == {"one": claim_of("one")}
