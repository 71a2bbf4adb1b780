"""Lines and their columns."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gpunode.topo.columns import assign_columns

SPANS = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)).map(lambda each: (each[0], each[0] + each[1])))


@given(SPANS)
def test_lines_of_one_column_do_not_touch(spans: list[tuple[int, int]]) -> None:
    columns = assign_columns(spans, gap=3)
    for (one, a), (other, b) in itertools.combinations(zip(spans, columns, strict=True), 2):
        assert a != b or one[1] + 3 <= other[0] or other[1] + 3 <= one[0]


def test_short_lines_are_next_to_the_boxes() -> None:
    assert assign_columns([(0, 100), (10, 20), (30, 40)], gap=5) == [1, 0, 0]
