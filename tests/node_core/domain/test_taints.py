"""The plan of taints: only owned taints change. Foreign taints retain their values and positions."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_core.domain.taints import (
    EFFECTS,
    GFD_TAINTS_ANNOTATION,
    RULE_TAINTS_ANNOTATION,
    Taint,
    TaintId,
    TaintPlan,
    blocked_taints,
    owned_taints,
    parse_taint,
    parse_taint_annotation,
    plan_taints,
    render_taint,
    render_taint_annotation,
    render_taint_patch,
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
    """At most one taint of each key and effect, as in Kubernetes."""
    return tuple({taint.identity: taint for taint in taints}.values())


LISTS = st.lists(TAINTS, max_size=6).map(distinct)
LIVE = LISTS.map(lambda taints: [render_taint(taint) | {"timeAdded": str(n)} for n, taint in enumerate(taints)])
OWNED = st.frozensets(TAINTS, max_size=6)


def by_identity(*taints: Taint) -> dict[TaintId, Taint]:
    return {taint.identity: taint for taint in taints}


def test_a_desired_taint_is_appended_to_foreign_taints() -> None:
    plan = plan_taints([OTHER], by_identity(BIG), frozenset())
    assert plan == TaintPlan(taints=(OTHER, render_taint(BIG)), owned=frozenset({BIG}))


def test_an_owned_taint_that_is_not_desired_is_removed() -> None:
    plan = plan_taints([render_taint(BIG), OTHER], by_identity(), frozenset({BIG}))
    assert plan == TaintPlan(taints=(OTHER,), owned=frozenset())


def test_an_equal_foreign_taint_is_neither_taken_over_nor_removed() -> None:
    assert plan_taints([render_taint(BIG)], by_identity(BIG), frozenset()) is None
    assert plan_taints([render_taint(BIG)], by_identity(), frozenset()) is None


def test_a_foreign_taint_with_another_value_remains_and_is_reported() -> None:
    foreign = {**render_taint(BIG), "value": "foreign"}
    assert plan_taints([foreign], by_identity(BIG), frozenset()) is None
    assert blocked_taints([foreign], by_identity(BIG), frozenset()) == (BIG,)
    assert blocked_taints([render_taint(BIG)], by_identity(BIG), frozenset()) == ()


def test_an_owned_taint_whose_value_was_changed_becomes_foreign() -> None:
    foreign = {**render_taint(BIG), "value": "foreign"}
    assert plan_taints([foreign], by_identity(BIG), frozenset({BIG})) == TaintPlan(taints=(foreign,), owned=frozenset())


def test_a_new_value_replaces_the_old_value_in_place() -> None:
    new = Taint(key=BIG.key, value="very", effect=BIG.effect)
    plan = plan_taints([render_taint(BIG), OTHER], by_identity(new), frozenset({BIG}))
    assert plan == TaintPlan(taints=(render_taint(new), OTHER), owned=frozenset({new}))


def test_a_taint_is_owned_if_the_annotation_records_it_with_its_value() -> None:
    foreign = {**render_taint(BIG), "value": "foreign"}
    assert owned_taints([render_taint(BIG), OTHER], frozenset({BIG})) == {BIG.identity: BIG}
    assert owned_taints([foreign, OTHER], frozenset({BIG})) == {}


def test_a_recorded_taint_that_is_missing_is_removed_from_the_annotation() -> None:
    assert plan_taints([OTHER], by_identity(), frozenset({BIG})) == TaintPlan(taints=(OTHER,), owned=frozenset())


@given(live=LIVE, desired=LISTS, owned=OWNED)
def test_foreign_taints_remain_unchanged_and_in_order(
    live: list[dict[str, Any]], desired: tuple[Taint, ...], owned: frozenset[Taint]
) -> None:
    plan = plan_taints(live, by_identity(*desired), owned)
    after = list(plan.taints) if plan else live
    others = [each for each in live if parse_taint(each) not in owned]
    owned_after = plan.owned if plan else owned
    assert [each for each in after if parse_taint(each) not in owned_after] == others


@given(live=LIVE, desired=LISTS, owned=OWNED)
def test_a_written_plan_needs_no_further_write(
    live: list[dict[str, Any]], desired: tuple[Taint, ...], owned: frozenset[Taint]
) -> None:
    outputs = by_identity(*desired)
    plan = plan_taints(live, outputs, owned)
    assert plan is None or plan_taints(plan.taints, outputs, plan.owned) is None


@given(live=LIVE, desired=LISTS, owned=OWNED)
def test_each_desired_key_and_effect_has_one_taint_and_owned_taints_are_desired(
    live: list[dict[str, Any]], desired: tuple[Taint, ...], owned: frozenset[Taint]
) -> None:
    plan = plan_taints(live, by_identity(*desired), owned)
    after = [parse_taint(each) for each in (plan.taints if plan else live)]
    places = [taint.identity for taint in after]
    assert len(places) == len(set(places))
    assert {taint.identity for taint in desired} <= set(places)
    assert (plan.owned if plan else owned) <= set(desired) & set(after)


@given(st.frozensets(TAINTS))
def test_the_annotation_is_parsed_to_the_same_taints(owned: frozenset[Taint]) -> None:
    assert parse_taint_annotation(render_taint_annotation(owned)) == owned


@pytest.mark.parametrize("text", ["", ",", "x", "x:Never", "=:NoSchedule,,", "nvidia.com/a=:NoSchedule", "a=b=c"])
def test_malformed_parts_of_the_annotation_are_ignored(text: str) -> None:
    assert not {taint for taint in parse_taint_annotation(text) if taint.key.startswith("nvidia.com/")}


@pytest.mark.parametrize("annotations", [{}, {"a": "b"}, {GFD_TAINTS_ANNOTATION: "x:NoSchedule"}], ids=repr)
def test_the_patch_tests_the_resource_version_first(annotations: dict[str, str]) -> None:
    plan = TaintPlan(taints=(render_taint(BIG),), owned=frozenset({BIG}))
    patch = render_taint_patch(
        plan, taints_annotation=GFD_TAINTS_ANNOTATION, version="7", tainted=False, annotations=annotations
    )
    assert patch[0] == {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}
    assert len(patch) == 3


def test_the_patch_removes_only_existing_fields() -> None:
    nothing = TaintPlan(taints=(), owned=frozenset())
    recorded = {GFD_TAINTS_ANNOTATION: str(BIG)}
    patch = render_taint_patch(
        nothing, taints_annotation=GFD_TAINTS_ANNOTATION, version="7", tainted=True, annotations=recorded
    )
    assert [each["op"] for each in patch] == ["test", "remove", "remove"]
    for name, annotations in ((GFD_TAINTS_ANNOTATION, {}), (RULE_TAINTS_ANNOTATION, recorded)):
        patch = render_taint_patch(nothing, taints_annotation=name, version="7", tainted=False, annotations=annotations)
        assert len(patch) == 1
