"""The lock of the record, which two drivers share during an update."""

from pathlib import Path

import pytest

from dra_driver.claims.store import ClaimStore


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
