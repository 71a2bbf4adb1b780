"""The table of `make bench`: medians, goals, ratios and the plots."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from benchmarks.against import Other, parse_other
from benchmarks.figures import NUMBERS, SECTIONS, Number, is_met, percentile, round_value, spread
from benchmarks.plot import render_lines
from benchmarks.report import Results, ratio_rows, render_plot, render_text
from benchmarks.soak import find_problems, measure_growth
from tests.performance_page import load_results, render_sentence, replace_part

SPEED = Number(key="speed", title="speed", unit="ms", goal=2)


def make_results(numbers: Mapping[str, Sequence[float]]) -> Results:
    against = {"gfd": {"command": "other", "numbers": {"oneshot gfd": [40.0], "unknown": [1.0]}}}
    return {"machine": {}, "numbers": numbers, "against": against}


def test_the_median_is_compared_with_the_goal() -> None:
    assert is_met(SPEED, [1, 2, 9]) is True
    assert is_met(SPEED, [1, 2.1, 3]) is False


def test_a_goal_for_the_99th_percentile_is_missed_by_one_of_ten_values() -> None:
    worst = Number(key="delay", title="delay", unit="s", goal=2, worst=True)
    assert is_met(worst, [1, 2, 9]) is False
    assert is_met(worst, [1, 2]) is True


def test_a_number_without_a_goal_or_without_values_is_neither_met_nor_missed() -> None:
    assert is_met(Number(key="n", title="n", unit=""), [1]) is None
    assert is_met(SPEED, []) is None


@pytest.mark.parametrize(("share", "expected"), [(0.5, 2.0), (0.99, 4.0), (0.0, 1.0), (1.0, 4.0)])
def test_a_percentile_is_one_of_the_values(share: float, expected: float) -> None:
    assert percentile([4, 1, 3, 2], share) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.0123, "0.012"), (1.234, "1.23"), (12.34, "12.3"), (2, "2"), (120.4, "120"), (100, "100")],
)
def test_values_have_three_digits(value: float, text: str) -> None:
    assert round_value(value) == text


def test_equal_values_have_no_spread() -> None:
    assert spread([2, 2]) == "2"
    assert spread([1, 5, 3]) == "3 (1 to 5)"


def test_each_number_has_one_key() -> None:
    counts = Counter(number.key for numbers in SECTIONS.values() for number in numbers)
    assert [key for key, count in counts.items() if count > 1] == []


def test_the_committed_results_have_every_number() -> None:
    assert [key for key in NUMBERS if not load_results("bench")["numbers"].get(key)] == []


def test_another_implementation_is_compared_by_the_ratio_of_medians() -> None:
    results = make_results({"oneshot gfd": [10, 20, 90]})
    assert list(ratio_rows(results)) == [("`gfd --oneshot` (gfd)", "20 (10 to 90)", "40", "0.5")]


def test_the_table_names_only_measured_sections_and_each_verdict() -> None:
    text = render_text(make_results({"oneshot gfd": [10, 20, 90], "oneshot nfd-lite": [151]}))
    assert [line.split()[-1] for line in text.splitlines() if "--oneshot  " in line] == ["met", "missed"]
    assert "Memory" not in text


def test_a_command_needs_a_known_kind() -> None:
    assert parse_other("gfd=a --b=c") == Other(kind="gfd", command="a --b=c")
    for text in ("", "gfd", "gfd=", "gfd= ", "unknown=a", "=a"):
        with pytest.raises(ValueError, match="is not valid"):
            parse_other(text)


def test_the_plot_cuts_values_above_its_scale() -> None:
    bars = render_plot(make_results({"oneshot gfd": [1e9], "oneshot nfd-lite": [75]}))
    assert re.findall(r'width="(\d+)" height="14"', bars) == ["420", "105"]


def test_the_plot_of_a_soak_has_a_line_for_each_series_and_escapes_its_text() -> None:
    lines = render_lines("a < b", [0, 1], {"memory": [1, 2], "empty": [0, 0]})
    assert lines.count("<polyline ") == 2
    assert "a &lt; b" in lines
    assert "<polyline " not in render_lines("nothing", [], {})


def test_a_page_without_the_comments_is_an_error() -> None:
    with pytest.raises(ValueError, match="must have one part"):
        replace_part("text", "figures")


def test_the_sentence_of_the_readme_has_the_medians() -> None:
    numbers: Mapping[str, Sequence[float]] = {
        "pss the three": [1, 101.4, 900],
        "pss gpunode run": [47.6],
        "pss gpu-exporter": [42],
    }
    assert "need 101 MiB of memory, or 48 MiB as one process" in render_sentence(make_results(numbers))


def test_a_soak_compares_the_last_third_with_the_second() -> None:
    assert measure_growth([9, 9, 1, 2, 5, 5]) == 3.5
    assert measure_growth([1, 2]) == 0
    assert find_problems({"threads": [1, 1, 9]}) == [
        "threads: the median of the last third is 8.00 above that of the second; at most 3.0 are allowed"
    ]
    assert find_problems({"threads": [9, 9, 9]}) == []
