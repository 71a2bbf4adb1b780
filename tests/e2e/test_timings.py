"""The table of measured times."""

from tests.e2e.timings import Timings, render_timings


def test_only_repeated_measurements_have_a_spread() -> None:
    timings = Timings()
    for seconds in (3.0, 1.0, 2.5):
        timings.add("kubelet", seconds)
    timings.add("plugin killed", 12.0)
    assert render_timings(timings.seconds) == [
        "kubelet          2.50 s  (1.00..3.00, 3 times)",
        "plugin killed   12.00 s",
    ]


def test_without_measurements_there_is_no_table() -> None:
    assert render_timings({}) == []
