"""Readiness checks, heartbeats and liveness checks of a process."""

import pytest
from structlog.testing import capture_logs

from node_core.runtime.readiness import STUCK_AFTER, Readiness


def test_an_expected_check_has_a_problem_until_a_report() -> None:
    readiness = Readiness()
    readiness.expect("gfd/published")
    assert readiness.problems() == {"gfd/published": "not completed yet"}
    readiness.report("gfd/published", None)
    assert readiness.problems() == {"gfd/published": None}


@pytest.mark.parametrize("problem", [None, "no route to host"])
def test_expecting_a_known_check_does_not_change_the_check(problem: str | None) -> None:
    readiness = Readiness()
    readiness.report("gfd/published", problem)
    readiness.expect("gfd/published")
    assert readiness.problems() == {"gfd/published": problem}


def test_the_checks_are_sorted_by_name() -> None:
    readiness = Readiness()
    for name in ("c", "a", "b"):
        readiness.report(name, None)
    assert list(readiness.problems()) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("reports", "events"),
    [
        ([None], []),
        (["a", "a", "a"], [("not_ready", "warning")]),
        (["a", "b"], [("not_ready", "warning"), ("not_ready", "warning")]),
        (["a", None, None], [("not_ready", "warning"), ("ready", "info")]),
        (["a", None, "a"], [("not_ready", "warning"), ("ready", "info"), ("not_ready", "warning")]),
    ],
    ids=repr,
)
def test_each_change_of_a_problem_is_logged_once(reports: list[str | None], events: list[tuple[str, str]]) -> None:
    readiness = Readiness()
    with capture_logs() as logs:
        for problem in reports:
            readiness.report("gfd/published", problem)
    assert [(entry["event"], entry["log_level"]) for entry in logs] == events


def test_a_problem_that_is_normal_during_a_start_is_not_a_warning() -> None:
    readiness = Readiness()
    with capture_logs() as logs:
        readiness.expect("gfd/published")
        readiness.report("gfd/published", "the driver is not loaded", is_expected=True)
    assert [(entry["log_level"], entry["why"]) for entry in logs] == [("info", "the driver is not loaded")]


def test_a_heartbeat_clears_the_failure_of_its_own_thread_only() -> None:
    readiness = Readiness()
    readiness.failed("gfd", "OSError: a fault")
    readiness.failed("nfd-lite", "OSError: a fault")
    readiness.beat("gfd")
    assert readiness.problems() == {"gfd/running": None, "nfd-lite/running": "OSError: a fault"}


def test_a_heartbeat_without_a_failure_adds_no_check() -> None:
    readiness = Readiness()
    readiness.beat("gfd")
    assert readiness.problems() == {}


@pytest.mark.parametrize(("seconds", "is_stuck"), [(0.0, False), (STUCK_AFTER, False), (STUCK_AFTER + 0.5, True)])
def test_a_thread_is_stuck_after_the_limit_without_a_heartbeat(seconds: float, is_stuck: bool) -> None:
    now = [0.0]
    readiness = Readiness(lambda: now[0])
    readiness.beat("gfd")
    now[0] = seconds
    readiness.beat("nfd-lite")
    assert readiness.stuck() == (("gfd",) if is_stuck else ())
    readiness.beat("gfd")
    assert readiness.stuck() == ()


def test_liveness_problems_name_stuck_threads_and_failed_checks() -> None:
    now, problem = [0.0], ["the watch thread has ended"]
    readiness = Readiness(lambda: now[0])
    readiness.add_liveness_check(lambda: problem[0])
    readiness.add_liveness_check(lambda: None)
    readiness.beat("gfd")
    readiness.report("gfd/published", "no route to host")
    assert readiness.liveness_problems() == ("the watch thread has ended",)
    now[0], problem[0] = STUCK_AFTER + 1, ""
    assert readiness.liveness_problems() == ("gfd did not respond for 300 s",)
