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
from tests import performance_page
from tests.performance_page import (
    BEGIN,
    END,
    load_results,
    render_faults,
    render_origin,
    render_scale,
    render_sentence,
    replace_parts,
)

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


def test_a_page_has_one_place_for_each_part() -> None:
    page = f"a\n{BEGIN}old\n{END}b\n{BEGIN}{END}c\n"
    assert replace_parts(page, "one\n", "two\n") == f"a\n{BEGIN}one\n{END}b\n{BEGIN}two\n{END}c\n"
    for parts in (("one",), ("one", "two", "three")):
        with pytest.raises(ValueError, match=f"must have {len(parts)} parts"):
            replace_parts(page, *parts)


MACHINE = {"cpus": "2", "load": "0.1", "kernel": "6.1", "python": "3.12.1", "gpunode": "1.0.0"}


def test_a_page_names_the_machine_and_what_a_run_lacks() -> None:
    measured = "Measured on 2 shared cores, with a load of 0.1 at the start (gpunode 1.0.0, Python 3.12.1, Linux 6.1)."
    assert render_origin({"machine": MACHINE, "complete": True, "quick": False}) == f"\n{measured}\n"
    for results in ({"complete": False}, {"machine": MACHINE, "complete": False, "quick": True}):
        assert render_origin(results).endswith("\nThe run is not complete.\n")
    assert "A quick run" in render_origin({"quick": True})


def test_the_page_has_the_rows_of_all_faults_and_the_problems() -> None:
    passed = {
        "fault": "restart",
        "count": 3,
        "labels": 0,
        "allocations": 0,
        "figures": {"registrations": 3},
        "problems": [],
    }
    lost = {**passed, "fault": "outage", "labels": 2, "problems": ["a label is lost\nlines of a log"]}
    part = render_faults({"machine": MACHINE, "rows": [passed, lost]})
    assert "| restart | 3 | 0 | 0 | 3 registrations | pass |\n| outage | 3 | 2 | 0 | 3 registrations | fail |" in part
    assert part.endswith("\n- outage: a label is lost\n\n")
    assert "log" not in part


def test_the_page_has_the_checks_of_a_fleet_that_failed() -> None:
    phase = {
        "title": "restart", "seconds": 1, "peak": 2, "memory": {"kube-apiserver": 3, "etcd": 4}, "problems": ["lost"],
        "by_verb": {"LIST": 5}, "refused": 0, "received": 0, "latency": {},
    }  # fmt: skip
    results = {"nodes": 5, "agents": 1, "threads": 2, "etcd": 3, "hour": 4, "phases": [phase]}
    assert "| restart | 1.0 | 5 LIST |" in render_scale(results)
    assert render_scale(results).endswith("\n- restart: lost\n\n")


def test_the_sentence_of_the_readme_has_the_medians() -> None:
    numbers: Mapping[str, Sequence[float]] = {
        "pss the three": [1, 101.4, 900],
        "pss gpunode run": [47.6],
        "pss gpu-exporter": [42],
    }
    assert "need 101 MiB of memory, or 48 MiB as one process" in str(render_sentence(make_results(numbers)))


def test_the_results_of_one_part_leave_the_readme_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    saved = performance_page.load_results
    parts = {"bench": {**make_results({"pss gpunode run": [47.6]}), "complete": False}}
    monkeypatch.setattr(performance_page, "load_results", lambda name: parts.get(name) or saved(name))
    pages = performance_page.render_pages()
    assert performance_page.README not in pages
    assert "\nThe run is not complete.\n" in pages[performance_page.PAGE]


def test_a_soak_compares_the_last_third_with_the_second() -> None:
    assert measure_growth([9, 9, 1, 2, 5, 5]) == 3.5
    assert measure_growth([1, 2]) == 0
    assert find_problems({"threads": [1, 1, 9]}) == [
        "threads: the median of the last third is 8.00 above that of the second; at most 3.0 are allowed"
    ]
    assert find_problems({"threads": [9, 9, 9]}) == []
