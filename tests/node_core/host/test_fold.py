"""Folding what repeats: the first at once, then one a period, and the counts always add up."""

from hypothesis import given
from hypothesis import strategies as st

from node_core.host.fold import Folded

Told = tuple[str, int]


def folded() -> Folded[Told]:
    return Folded(lambda newest, count: (newest[0], count))


def test_the_first_is_told_at_once_and_the_rest_at_the_end_of_the_period() -> None:
    fold = folded()
    assert list(fold.add("a", ("a", 1), 0.0, 1.0)) == [("a", 1)]
    assert list(fold.add("a", ("a", 1), 0.1, 1.0)) == []
    assert list(fold.add("b", ("b", 1), 0.2, 1.0)) == [("b", 1)]
    assert list(fold.add("a", ("newest", 1), 0.9, 1.0)) == []
    assert fold.next_due() == 1.0
    assert fold.take_due(0.99) == ()
    assert fold.take_due(1.0) == (("newest", 2),)
    assert fold.next_due() is None


def test_a_kind_that_was_quiet_is_told_at_once_again() -> None:
    fold = folded()
    fold.add("a", ("a", 1), 0.0, 1.0)
    assert fold.take_due(1.0) == ()
    assert list(fold.add("a", ("a", 1), 1.0, 1.0)) == [("a", 1)]


def test_a_kind_that_goes_on_is_told_once_a_period() -> None:
    fold = folded()
    told = []
    for step in range(1000):
        now = step / 100
        told += [*fold.add("a", ("a", 1), now, 1.0), *fold.take_due(now)]
    assert len(told) == 10
    assert sum(count for _, count in told) + sum(count for _, count in fold.flush()) == 1000


def test_all_that_is_kept_can_be_had_at_once_and_only_once() -> None:
    fold = folded()
    for _ in range(3):
        fold.add("a", ("a", 1), 0.0, 1.0)
    assert fold.flush() == (("a", 2),)
    assert fold.flush() == ()
    assert list(fold.add("a", ("a", 1), 0.0, 1.0)) == [("a", 1)]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 2)), max_size=60))
def test_no_thing_is_lost_from_the_count_and_none_is_told_twice(things: list[tuple[str, float]]) -> None:
    fold, now, told = folded(), 0.0, []
    for kind, later in things:
        now += later
        told += [*fold.add(kind, (kind, 1), now, 1.0), *fold.take_due(now)]
    told += fold.flush()
    for kind in "abc":
        assert sum(count for name, count in told if name == kind) == sum(each == kind for each, _ in things)
