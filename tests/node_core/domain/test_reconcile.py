"""The writes that change the observed state into the desired state: in order, only for differences, and never of foreign fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_core.domain.desired import Outputs
from node_core.domain.extended_resources import ResourcePlan
from node_core.domain.node import NodeView
from node_core.domain.reconcile import (
    ApplyMetadata,
    FieldOwner,
    SetCapacity,
    SetTaints,
    find_blocked_outputs,
    reconcile_node,
    select_published,
)
from node_core.domain.taints import Taint, TaintPlan, render_taint, render_taint_annotation
from node_core.values import replace

TAINTS_ANNOTATION = "example.com/taints"
NFD = FieldOwner(manager="nfd-lite", taints_annotation=TAINTS_ANNOTATION)
TAINT = Taint(key="x/t", effect="NoSchedule")
ALL = Outputs(
    labels={"x/l": "1"}, annotations={"x/a": "2"}, taints={TAINT.identity: TAINT}, extended_resources={"x.com/r": "3"}
)


def node(outputs: Outputs, uid: str = "u") -> NodeView:
    """A Node on which nfd-lite has published these outputs."""
    taints = outputs.taints.values()
    return NodeView(
        name="n",
        uid=uid,
        resource_version="7",
        labels=outputs.labels,
        owned={"nfd-lite": frozenset(outputs.labels)},
        annotations={**outputs.annotations, **({TAINTS_ANNOTATION: render_taint_annotation(taints)} if taints else {})},
        owned_annotations={"nfd-lite": frozenset(outputs.annotations)},
        taints=tuple(map(render_taint, taints)),
        capacity=outputs.extended_resources,
        owned_capacity={"nfd-lite": frozenset(outputs.extended_resources)},
    )


EMPTY = node(Outputs())


def test_writes_are_ordered_taints_resources_metadata() -> None:
    assert reconcile_node(ALL, EMPTY, NFD) == (
        SetTaints(plan=TaintPlan(taints=(render_taint(TAINT),), owned=frozenset({TAINT})), observed=EMPTY),
        SetCapacity(plan=ResourcePlan(resources={"x.com/r": "3"})),
        ApplyMetadata(labels={"x/l": "1"}, annotations={"x/a": "2"}),
    )


def test_published_outputs_are_read_back_and_need_no_write() -> None:
    assert select_published(node(ALL), NFD) == ALL
    assert reconcile_node(ALL, node(ALL), NFD) == ()


def test_outputs_that_are_no_longer_desired_are_removed() -> None:
    kinds = [type(each) for each in reconcile_node(Outputs(), node(ALL), NFD)]
    assert kinds == [SetTaints, SetCapacity, ApplyMetadata]


def test_a_changed_annotation_alone_causes_a_write() -> None:
    desired = Outputs(labels=ALL.labels, taints=ALL.taints, extended_resources=ALL.extended_resources)
    assert reconcile_node(desired, node(ALL), NFD) == (ApplyMetadata(labels={"x/l": "1"}, annotations={}),)


SEEDING = replace(NFD, may_overwrite=False)


def seeded(value: str | None, owner: str) -> NodeView:
    labels = {} if value is None else {"x/seed": value}
    return replace(EMPTY, labels=labels, owned={owner: frozenset(labels)})


def test_without_overwriting_a_missing_label_is_written_and_an_own_label_is_updated() -> None:
    write = (ApplyMetadata(labels={"x/seed": "true"}, annotations={}),)
    for node_ in (seeded(None, "nfd-lite"), seeded("old", "nfd-lite"), seeded("true", "kubectl")):
        assert reconcile_node(Outputs(labels={"x/seed": "true"}), node_, SEEDING) == write
        assert find_blocked_outputs(Outputs(labels={"x/seed": "true"}), node_, SEEDING) == ()


def test_without_overwriting_the_value_of_another_client_stays_and_is_reported() -> None:
    paused = seeded("paused", "kubectl")
    assert reconcile_node(Outputs(labels={"x/seed": "true"}), paused, SEEDING) == ()
    assert reconcile_node(Outputs(labels={"x/seed": "true"}), paused, NFD) != ()
    (blocked,) = find_blocked_outputs(Outputs(labels={"x/seed": "true"}), paused, SEEDING)
    assert (blocked.event, blocked.name, blocked.why) == (
        "label_not_set",
        "x/seed",
        "another client has set another value",
    )


def test_nfd_lite_does_not_write_labels_of_gfd() -> None:
    foreign = NodeView(
        name="n",
        uid="u",
        resource_version="1",
        labels={"g": "A40"},
        owned={"gfd": frozenset({"g"}), "nfd-lite": frozenset()},
    )
    desired = Outputs(labels={"g": "mine", "x": "1"})
    assert reconcile_node(desired, foreign, NFD) == (ApplyMetadata(labels={"x": "1"}, annotations={}),)
    assert [(each.event, each.name) for each in find_blocked_outputs(desired, foreign, NFD)] == [("label_not_set", "g")]


def test_an_owner_without_an_annotation_has_no_taints() -> None:
    owner = FieldOwner(manager="nfd-lite", taints_annotation="")
    assert select_published(node(ALL), owner).taints == {}
    assert (
        reconcile_node(
            Outputs(labels=ALL.labels, annotations=ALL.annotations, extended_resources=ALL.extended_resources),
            node(ALL),
            owner,
        )
        == ()
    )


NAMES = st.sampled_from(["x/a", "x/b", "x/c"])
TEXTS = st.dictionaries(NAMES, st.sampled_from(["1", "2"]))
TAINTS = st.dictionaries(NAMES, st.sampled_from(["", "1"])).map(
    lambda found: {(key, "NoExecute"): Taint(key=key, value=value, effect="NoExecute") for key, value in found.items()}
)
OUTPUTS = st.builds(Outputs, labels=TEXTS, annotations=TEXTS, taints=TAINTS, extended_resources=TEXTS)


@given(OUTPUTS, OUTPUTS)
def test_there_are_no_writes_exactly_if_all_outputs_are_published(desired: Outputs, published: Outputs) -> None:
    assert (reconcile_node(desired, node(published), NFD) == ()) == (desired == published)


DRIVER = "nvidia.com/gpu.deploy.driver"
PRE_INSTALLED = Outputs(labels={DRIVER: "pre-installed"})


@pytest.mark.parametrize("value", ["false", "true", ""])
def test_the_value_of_a_person_for_the_driver_label_is_neither_overwritten_nor_removed(value: str) -> None:
    by_a_person = replace(EMPTY, labels={DRIVER: value})
    assert reconcile_node(PRE_INSTALLED, by_a_person, NFD) == ()
    assert reconcile_node(Outputs(), by_a_person, NFD) == ()
    assert [each.name for each in find_blocked_outputs(PRE_INSTALLED, by_a_person, NFD)] == [DRIVER]


def test_the_own_driver_label_is_removed_with_the_driver() -> None:
    assert reconcile_node(Outputs(), node(PRE_INSTALLED), NFD) == (ApplyMetadata(labels={}, annotations={}),)
