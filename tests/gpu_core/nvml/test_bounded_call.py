"""A call with a deadline."""

import threading

import pytest

from gpu_core.nvml.bounded_call import BoundedCall
from node_core.errors import NvmlError
from tests.waiting import until


def test_a_call_returns_its_result_each_time() -> None:
    results = iter([1, 2])
    call = BoundedCall(lambda: next(results), 60)
    for expected in (1, 2):
        call.start()
        assert call.result() == expected
    assert not call.is_hanging


def test_an_error_is_raised_again() -> None:
    def fail() -> None:
        raise NvmlError("nvmlInit_v2", "UNKNOWN")

    call = BoundedCall(fail, 60)
    call.start()
    with pytest.raises(NvmlError, match="UNKNOWN"):
        call.result()


def test_while_a_call_hangs_no_other_one_starts() -> None:
    go, started = threading.Event(), list[int]()

    def hang() -> int:
        started.append(1)
        go.wait(60)
        return len(started)

    call = BoundedCall(hang, 0.01)
    for _ in range(3):
        call.start()
        with pytest.raises(NvmlError, match="TIMEOUT"):
            call.result()
        assert call.is_hanging
    assert len(started) == 1
    go.set()
    until(lambda: not call.is_hanging)
    call.start()
    assert call.result() == 2


def test_a_call_that_was_not_started_has_no_result() -> None:
    with pytest.raises(NvmlError, match="TIMEOUT"):
        BoundedCall(lambda: None, 60).result()
