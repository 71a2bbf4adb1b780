"""Repeated log lines are counted, but the last line about a subject always states its current state."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from node_core.domain.log_folding import MAX_SUBJECTS, WINDOW, LogFolder


def line(event: str, **fields: Any) -> dict[str, Any]:
    return {"event": event, "agent": "gfd", "level": "info" if event == "labels_published" else "warning", **fields}


def test_an_equal_line_is_counted_and_the_count_is_logged_after_the_window() -> None:
    folder, fault = LogFolder(), line("fault", why="x")
    assert folder.add(fault, 0.0) == (fault,)
    assert folder.add(fault, 1.0) == folder.add(fault, 2.0) == ()
    other = line("other")
    assert folder.add(other, WINDOW - 1) == (other,)
    assert folder.add(line("third"), WINDOW) == ({**fault, "repeated": 2}, line("third"))
    assert folder.add(fault, WINDOW + 1) == (fault,)


def test_pairs_of_lines_about_different_subjects_are_folded() -> None:
    folder = LogFolder()
    pair = (line("label_conflict_overridden", conflict="c"), line("labels_published", changed=["a=1"]))
    logged = [each for at in range(20) for one in pair for each in folder.add(one, float(at))]
    assert logged == list(pair)


def test_a_state_that_changes_back_and_forth_is_never_folded() -> None:
    folder = LogFolder()
    states = (line("not_ready", check="c", why="x"), line("ready", check="c"))
    logged = [each for at in range(3) for one in states for each in folder.add(one, float(at))]
    assert logged == list(states) * 3


def test_another_line_about_the_subject_logs_the_count_first() -> None:
    folder = LogFolder()
    first, second = line("not_ready", check="c", why="x"), line("not_ready", check="c", why="y")
    assert [folder.add(first, 0.0), folder.add(first, 1.0)] == [(first,), ()]
    assert folder.add(second, 2.0) == ({**first, "repeated": 1}, second)


def test_the_same_event_of_two_agents_is_not_one_subject() -> None:
    folder = LogFolder()
    lines = (line("labels_published", count=1), {**line("labels_published", count=1), "agent": "nfd-lite"})
    assert [folder.add(each, 0.0) for each in lines * 2] == [(lines[0],), (lines[1],), (), ()]


def test_changes_are_never_folded() -> None:
    folder, change = LogFolder(), line("resource_registered", resource="nvidia.com/gpu", level="info")
    assert [folder.add(change, 0.0) for _ in range(2)] == [(change,)] * 2


def test_the_counts_are_logged_at_the_end() -> None:
    folder = LogFolder()
    for _ in range(3):
        folder.add(line("fault"), 0.0)
    folder.add(line("single"), 0.0)
    assert folder.flush() == ({**line("fault"), "repeated": 2},)
    assert folder.flush() == ()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.floats(0, 400)), max_size=60))
def test_no_line_is_lost_and_the_last_line_of_a_subject_is_its_state(steps: list[tuple[str, str, float]]) -> None:
    folder, now, last = LogFolder(), 0.0, {}
    logged: list[Any] = []
    for check, why, pause in steps:
        now += pause
        last[check] = why
        logged += folder.add(line("not_ready", check=check, why=why), now)
        assert [each["why"] for each in logged if each["check"] == check][-1] == why
    logged += folder.flush()
    assert len([each for each in logged if "repeated" not in each]) + sum(
        each.get("repeated", 0) for each in logged
    ) == len(steps)


def test_the_number_of_subjects_is_limited() -> None:
    folder = LogFolder()
    for key in range(MAX_SUBJECTS + 10):
        folder.add(line("fault", key=key), 0.0)
        folder.add(line("fault", key=key), 0.0)
    assert len(folder.flush()) == MAX_SUBJECTS
