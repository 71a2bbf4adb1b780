"""An error never removes an output, and a failed owner does not retain outputs of other owners."""

import string
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from node_core.domain.desired import (
    CollectorResult,
    DeclaredNames,
    Desired,
    NameHistory,
    Outputs,
    complete,
    failed_result,
    merge_labels,
    merge_published,
)
from node_core.domain.taints import Taint
from node_core.values import replace

KEYS = st.text(string.ascii_lowercase, min_size=1, max_size=4).map(lambda name: f"x/{name}")
LABELS = st.dictionaries(KEYS, st.text(string.ascii_letters, max_size=4), max_size=6)
ONE = Taint(key="x/one", effect="NoSchedule")
TWO = Taint(key="x/two", effect="NoSchedule")


def test_a_failed_collector_retains_only_its_own_keys() -> None:
    failed = CollectorResult(name="nvml", labels=None, owns=("x/gpu",))
    fine = CollectorResult(name="machine", labels={"x/machine": "new"}, owns=("x/machine",))
    known = {"x/gpu.count": "8", "x/machine": "old", "x/foreign": "1"}
    assert merge_labels([failed, fine], known) == {"x/gpu.count": "8", "x/machine": "new"}


def test_a_successful_collector_without_labels_removes_its_labels() -> None:
    assert merge_labels([CollectorResult(name="nvml", labels={}, owns=("x/",))], {"x/gpu": "1"}) == {}


@given(LABELS, LABELS)
def test_repeated_merges_with_a_failure_give_the_same_result(labels: dict[str, str], known: dict[str, str]) -> None:
    parts = [
        CollectorResult(name="a", labels=labels, owns=("x/a",)),
        CollectorResult(name="b", labels=None, owns=("x/",)),
    ]
    once = merge_labels(parts, known)
    assert merge_labels(parts, once) == once
    assert known.keys() <= once.keys()


def test_a_failed_catch_all_collector_retains_keys_that_no_other_collector_owns() -> None:
    failed = CollectorResult(name="local", labels=None, catch_all=True)
    fine = CollectorResult(name="cpu", labels={"x/cpu": "new"}, owns=("x/cpu",))
    known = {"x/cpu": "old", "x/cpu-gone": "1", "vendor.io/mine": "2"}
    assert merge_labels([fine, failed], known) == {"x/cpu": "new", "vendor.io/mine": "2"}


def test_collected_labels_win_over_retained_catch_all_labels() -> None:
    rules = CollectorResult(name="rules", labels={"vendor.io/mine": "3"}, catch_all=True)
    failed = CollectorResult(name="local", labels=None, catch_all=True)
    assert merge_labels([rules, failed], {"vendor.io/mine": "2"}) == {"vendor.io/mine": "3"}


def outputs(name: str, taint: Taint | None = None) -> Outputs:
    """One output of each kind, with this name."""
    taints = {} if taint is None else {taint.identity: taint}
    one = {f"x/{name}": "1"}
    return Outputs(labels=one, annotations=one, taints=taints, extended_resources=one)


def declared(name: str, taint: Taint) -> DeclaredNames:
    names = frozenset({f"x/{name}"})
    return DeclaredNames(labels=names, annotations=names, taints=frozenset({taint.identity}), extended_resources=names)


def known(name: str, found: Outputs, taint: Taint) -> CollectorResult:
    return CollectorResult(
        name=name,
        labels=found.labels,
        annotations=found.annotations,
        taints=found.taints,
        extended_resources=found.extended_resources,
        declared=declared(name, taint),
    )


BOTH = merge_published(outputs("one", ONE), outputs("two", TWO))


def of(*results: CollectorResult, published: Outputs = BOTH) -> Outputs:
    return complete(Desired(results=results), published)


def test_a_failed_owner_with_declared_names_retains_only_these_names_of_every_kind() -> None:
    failed = failed_result("one", declared("one", ONE), catch_all=False)
    assert of(failed) == outputs("one", ONE)
    assert of(failed, known("two", Outputs(), TWO)) == outputs("one", ONE)
    assert of(failed, known("two", outputs("two", TWO), TWO)) == BOTH


def test_a_failed_owner_of_any_name_retains_names_that_no_other_owner_declares() -> None:
    failed = failed_result("anything")
    assert of(failed) == BOTH
    assert of(failed, known("two", Outputs(), TWO)) == outputs("one", ONE)


def test_a_failed_owner_of_any_label_retains_only_labels() -> None:
    template = failed_result("template", DeclaredNames(), catch_all=True)
    assert of(template) == Outputs(labels=BOTH.labels)


def test_a_collected_output_wins_over_an_output_that_an_owner_of_any_name_retains() -> None:
    new = Taint(key=ONE.key, value="new", effect=ONE.effect)
    found = known("one", Outputs(labels={"x/one": "2"}, taints={new.identity: new}), ONE)
    kept = of(failed_result("anything"), found)
    assert (kept.labels, kept.taints) == ({"x/one": "2", "x/two": "1"}, {new.identity: new, TWO.identity: TWO})


def test_without_failures_the_published_outputs_have_no_effect() -> None:
    assert of(known("one", outputs("one", ONE), ONE)) == outputs("one", ONE)
    assert of() == Outputs()


def test_outputs_that_this_process_desired_before_count_as_published() -> None:
    observed, before = Outputs(labels={"a": "theirs", "b": "1"}), Outputs(labels={"a": "ours", "c": "2"})
    assert merge_published(observed, before).labels == {"a": "ours", "b": "1", "c": "2"}


@given(
    st.lists(st.tuples(st.none() | LABELS, st.frozensets(KEYS), st.booleans()), max_size=5),
    st.frozensets(st.sampled_from(["x/a", "x/b"])),
    LABELS,
)
def test_a_failure_never_removes_a_published_label_of_its_owner(
    parts: list[tuple[Mapping[str, str] | None, frozenset[str], bool]], own: frozenset[str], published: dict[str, str]
) -> None:
    results = [
        CollectorResult(name=str(n), labels=labels, catch_all=free, declared=DeclaredNames(labels=names))
        for n, (labels, names, free) in enumerate(parts)
    ]
    failed = CollectorResult(name="failed", labels=None, declared=DeclaredNames(labels=own))
    merged = merge_labels((*results, failed), published)
    assert {key: merged[key] for key in own & published.keys()} == {
        key: published[key] for key in own & published.keys()
    }
    assert merge_labels((*results, failed), merged) == merged


def test_a_failed_owner_of_any_name_retains_no_name_that_another_owner_had_in_this_process() -> None:
    failed = CollectorResult(name="local", labels=None, catch_all=True)
    fine = CollectorResult(name="rules", labels={"x/mine": "1"})
    history, known = NameHistory(), {"x/mine": "1", "x/whose": "1"}
    assert merge_labels(history.add((failed, fine)), known) == known
    assert merge_labels(history.add((failed, replace(fine, labels={}))), known) == {"x/whose": "1"}
    assert merge_labels(history.add((failed, replace(fine, labels={}))), known) == {"x/whose": "1"}


def test_a_failed_owner_of_any_name_retains_the_names_that_it_had_itself() -> None:
    owner = CollectorResult(name="local", labels={"x/mine": "1"}, catch_all=True)
    failed = replace(owner, labels=None)
    history = NameHistory()
    for result in (owner, failed, failed):
        assert merge_labels(history.add((result,)), {"x/mine": "1"}) == {"x/mine": "1"}
