"""The plan of taints: what is ours comes and goes, what is others' stays as it is and where it is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_core.domain.taints import (
    EFFECTS,
    RULE_TAINTS_ANNOTATION,
    TAINTS_ANNOTATION,
    Taint,
    TaintPlan,
    WantedTaints,
    parse_owned,
    plan_taints,
    render_owned,
    render_taint,
    render_taint_patch,
    taint_of,
    taken_places,
)

BIG = Taint(key="nvidia.com/gpu.premium", value="true", effect="NoSchedule")
OTHER = {"key": "example.com/x", "value": "1", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"}

TAINTS = st.builds(
    Taint,
    key=st.sampled_from(["nvidia.com/a", "nvidia.com/b", "example.com/c"]),
    value=st.sampled_from(["", "1", "2"]),
    effect=st.sampled_from(EFFECTS),
)


def distinct(taints: list[Taint]) -> tuple[Taint, ...]:
    """At most one of each key and effect, as Kubernetes has it."""
    return tuple({taint.place: taint for taint in taints}.values())


LISTS = st.lists(TAINTS, max_size=6).map(distinct)
LIVE = LISTS.map(lambda taints: [render_taint(taint) | {"timeAdded": str(n)} for n, taint in enumerate(taints)])
OWNED = st.frozensets(TAINTS, max_size=6)


def wanted(*taints: Taint) -> WantedTaints:
    return WantedTaints(taints=taints)


def test_a_wanted_taint_goes_behind_those_of_others() -> None:
    plan = plan_taints([OTHER], wanted(BIG), frozenset())
    assert plan == TaintPlan(taints=(OTHER, render_taint(BIG)), owned=frozenset({BIG}))


def test_a_taint_of_ours_that_nobody_wants_goes() -> None:
    plan = plan_taints([render_taint(BIG), OTHER], wanted(), frozenset({BIG}))
    assert plan == TaintPlan(taints=(OTHER,), owned=frozenset())


def test_an_equal_taint_of_a_person_is_neither_taken_over_nor_removed() -> None:
    assert plan_taints([render_taint(BIG)], wanted(BIG), frozenset()) is None
    assert plan_taints([render_taint(BIG)], wanted(), frozenset()) is None


def test_another_value_of_a_person_keeps_its_place_and_is_reported() -> None:
    theirs = {**render_taint(BIG), "value": "theirs"}
    assert plan_taints([theirs], wanted(BIG), frozenset()) is None
    assert taken_places([theirs], wanted(BIG), frozenset()) == (BIG,)
    assert taken_places([render_taint(BIG)], wanted(BIG), frozenset()) == ()


def test_a_value_of_ours_that_a_person_changed_is_the_persons() -> None:
    theirs = {**render_taint(BIG), "value": "theirs"}
    assert plan_taints([theirs], wanted(BIG), frozenset({BIG})) == TaintPlan(taints=(theirs,), owned=frozenset())


def test_a_new_value_of_ours_replaces_the_old_one_in_place() -> None:
    new = Taint(key=BIG.key, value="very", effect=BIG.effect)
    plan = plan_taints([render_taint(BIG), OTHER], wanted(new), frozenset({BIG}))
    assert plan == TaintPlan(taints=(render_taint(new), OTHER), owned=frozenset({new}))


def test_a_partial_look_adds_and_takes_nothing_away() -> None:
    more = Taint(key="nvidia.com/b", effect="NoExecute")
    plan = plan_taints([render_taint(BIG)], WantedTaints(taints=(more,), partial=True), frozenset({BIG}))
    assert plan == TaintPlan(taints=(render_taint(BIG), render_taint(more)), owned=frozenset({BIG, more}))
    assert plan_taints([render_taint(BIG)], WantedTaints(partial=True), frozenset({BIG})) is None


def test_a_claim_without_its_taint_is_dropped() -> None:
    assert plan_taints([OTHER], wanted(), frozenset({BIG})) == TaintPlan(taints=(OTHER,), owned=frozenset())


@given(live=LIVE, want=LISTS, owned=OWNED, partial=st.booleans())
def test_taints_of_others_stay_to_the_letter_and_in_order(
    live: list[dict[str, Any]], want: tuple[Taint, ...], owned: frozenset[Taint], partial: bool
) -> None:
    plan = plan_taints(live, WantedTaints(taints=want, partial=partial), owned)
    after = list(plan.taints) if plan else live
    others = [each for each in live if taint_of(each) not in owned]
    ours = plan.owned if plan else owned
    assert [each for each in after if taint_of(each) not in ours] == others


@given(live=LIVE, want=LISTS, owned=OWNED, partial=st.booleans())
def test_what_a_plan_leads_to_needs_no_further_write(
    live: list[dict[str, Any]], want: tuple[Taint, ...], owned: frozenset[Taint], partial: bool
) -> None:
    asked = WantedTaints(taints=want, partial=partial)
    plan = plan_taints(live, asked, owned)
    assert plan is None or plan_taints(plan.taints, asked, plan.owned) is None


@given(live=LIVE, want=LISTS, owned=OWNED)
def test_each_wanted_place_is_filled_once_and_what_is_ours_is_wanted(
    live: list[dict[str, Any]], want: tuple[Taint, ...], owned: frozenset[Taint]
) -> None:
    plan = plan_taints(live, WantedTaints(taints=want), owned)
    after = [taint_of(each) for each in (plan.taints if plan else live)]
    places = [taint.place for taint in after]
    assert len(places) == len(set(places))
    assert {taint.place for taint in want} <= set(places)
    assert (plan.owned if plan else owned) <= set(want) & set(after)


@given(st.frozensets(TAINTS))
def test_the_annotation_reads_back_as_the_taints_it_was(owned: frozenset[Taint]) -> None:
    assert parse_owned(render_owned(owned)) == owned


@pytest.mark.parametrize("text", ["", ",", "x", "x:Never", "=:NoSchedule,,", "nvidia.com/a=:NoSchedule", "a=b=c"])
def test_an_annotation_that_somebody_broke_claims_nothing_of_use(text: str) -> None:
    assert not {taint for taint in parse_owned(text) if taint.key.startswith("nvidia.com/")}


@pytest.mark.parametrize("annotations", [{}, {"a": "b"}, {TAINTS_ANNOTATION: "x:NoSchedule"}], ids=repr)
def test_the_patch_first_tests_the_version(annotations: dict[str, str]) -> None:
    plan = TaintPlan(taints=(render_taint(BIG),), owned=frozenset({BIG}))
    patch = render_taint_patch(plan, claim=TAINTS_ANNOTATION, version="7", tainted=False, annotations=annotations)
    assert patch[0] == {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}
    assert len(patch) == 3


def test_the_patch_removes_only_what_is_there() -> None:
    nothing = TaintPlan(taints=(), owned=frozenset())
    claimed = {TAINTS_ANNOTATION: str(BIG)}
    patch = render_taint_patch(nothing, claim=TAINTS_ANNOTATION, version="7", tainted=True, annotations=claimed)
    assert [each["op"] for each in patch] == ["test", "remove", "remove"]
    for claim, annotations in ((TAINTS_ANNOTATION, {}), (RULE_TAINTS_ANNOTATION, claimed)):
        assert len(render_taint_patch(nothing, claim=claim, version="7", tainted=False, annotations=annotations)) == 1
