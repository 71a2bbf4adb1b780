"""Coalescing of repeated items: the first item passes at once, then one item per period. The counts add up to the number of items."""

from hypothesis import given
from hypothesis import strategies as st

from node_core.domain.coalescer import MAX_KEYS, Coalescer

Entry = tuple[str, int]


def coalescer() -> Coalescer[Entry]:
    return Coalescer(lambda newest, count: (newest[0], count))


def test_the_first_item_passes_at_once_and_the_others_at_the_end_of_the_period() -> None:
    coalescer_ = coalescer()
    assert coalescer_.add("a", ("a", 1), 0.0, 1.0) == ("a", 1)
    assert coalescer_.add("a", ("a", 1), 0.1, 1.0) is None
    assert coalescer_.add("b", ("b", 1), 0.2, 1.0) == ("b", 1)
    assert coalescer_.add("a", ("newest", 1), 0.9, 1.0) is None
    assert coalescer_.next_due() == 1.0
    assert coalescer_.pop_due(0.99) == ()
    assert coalescer_.pop_due(1.0) == (("newest", 2),)
    assert coalescer_.next_due() is None


def test_after_a_period_without_items_the_next_item_passes_at_once() -> None:
    coalescer_ = coalescer()
    coalescer_.add("a", ("a", 1), 0.0, 1.0)
    assert coalescer_.pop_due(1.0) == ()
    assert coalescer_.add("a", ("a", 1), 1.0, 1.0) == ("a", 1)


def test_a_repeated_key_passes_once_per_period() -> None:
    coalescer_ = coalescer()
    emitted = []
    for step in range(1000):
        now = step / 100
        emitted += [*filter(None, [coalescer_.add("a", ("a", 1), now, 1.0)]), *coalescer_.pop_due(now)]
    assert len(emitted) == 10
    assert sum(count for _, count in emitted) + sum(count for _, count in coalescer_.flush()) == 1000


def test_flush_returns_all_pending_items_once() -> None:
    coalescer_ = coalescer()
    for _ in range(3):
        coalescer_.add("a", ("a", 1), 0.0, 1.0)
    assert coalescer_.flush() == (("a", 2),)
    assert coalescer_.flush() == ()
    assert coalescer_.add("a", ("a", 1), 0.0, 1.0) == ("a", 1)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 2)), max_size=60))
def test_the_counts_of_the_passed_items_add_up_to_all_items(items: list[tuple[str, float]]) -> None:
    coalescer_, now, emitted = coalescer(), 0.0, []
    for kind, later in items:
        now += later
        emitted += [*filter(None, [coalescer_.add(kind, (kind, 1), now, 1.0)]), *coalescer_.pop_due(now)]
    emitted += coalescer_.flush()
    for kind in "abc":
        assert sum(count for name, count in emitted if name == kind) == sum(each == kind for each, _ in items)


def test_pending_items_pass_with_the_first_item_after_the_period() -> None:
    coalescer_ = coalescer()
    assert coalescer_.add("a", ("a", 1), 0.0, 60.0, 3) == ("a", 3)
    assert coalescer_.add("a", ("a", 1), 59.0, 60.0, 10) is None
    assert coalescer_.add("a", ("a", 1), 60.0, 60.0, 5) == ("a", 15)


def test_the_number_of_keys_is_limited() -> None:
    coalescer_ = coalescer()
    for number in range(3 * MAX_KEYS):
        coalescer_.add(str(number), ("a", 1), 0.0, 60.0)
    assert len(coalescer_._periods) <= MAX_KEYS
