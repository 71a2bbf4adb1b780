"""Ages for people."""

import pytest

from gpunode.output.age import render_age


@pytest.mark.parametrize(
    ("since", "age"),
    [
        ("1970-01-11T00:00:00Z", "0 s"),
        ("1970-01-10T23:59:01Z", "59 s"),
        ("1970-01-10T23:00:01Z", "59 min"),
        ("1970-01-10T00:00:01+01:00", "1 d"),
        (864_000.0 - 7200, "2 h"),
        ("1970-01-12T00:00:00Z", "0 s"),
        ("", "an unknown time"),
        (None, "an unknown time"),
    ],
)
def test_an_age_has_one_unit(since: str | float | None, age: str) -> None:
    assert render_age(since, 864_000.0) == age
