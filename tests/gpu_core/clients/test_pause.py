"""Labels of paused DaemonSets: what is recorded, changed and restored."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_core.clients.pause import (
    COMPONENTS,
    DEPLOY,
    MetadataPatch,
    Pause,
    parse_record,
    plan_pause,
    plan_resume,
    select_leaving,
)
from node_core.scheduling.objects import (
    Affinity,
    Metadata,
    NodeAffinity,
    NodeSelector,
    NodeSelectorTerm,
    OwnerReference,
    Pod,
    PodSpec,
    PodStatus,
    Requirement,
)

MIG, DRIVER = Pause.MIG_CHANGE, Pause.DRIVER_UPGRADE
PLUGIN, DCGM, CLIENT = f"{DEPLOY}device-plugin", f"{DEPLOY}dcgm", f"{DEPLOY}client"
Meta = tuple[dict[str, str], dict[str, str]]
VALUES = st.sampled_from(["true", "false", "", "v", str(MIG), str(DRIVER)])


def patched(meta: Meta, patch: MetadataPatch | None) -> Meta:
    if patch is None:
        return meta
    labels, annotations = ({**old, **new} for old, new in zip(meta, (patch.labels, patch.annotations), strict=True))
    return (
        {key: value for key, value in labels.items() if value is not None},
        {key: value for key, value in annotations.items() if value is not None},
    )


def paused(meta: Meta, *components: str, pause: Pause = MIG) -> Meta:
    return patched(meta, plan_pause(*meta, components, pause))


def resumed(meta: Meta, pause: Pause = MIG) -> Meta:
    return patched(meta, plan_resume(*meta, pause))


def test_all_values_but_false_are_paused_and_recorded() -> None:
    labels, annotations = paused(({PLUGIN: "true", DCGM: "false"}, {}), "device-plugin", "dcgm", "client")
    assert labels == {PLUGIN: str(MIG), DCGM: "false", CLIENT: str(MIG)}
    assert json.loads(annotations[MIG.annotation]) == {PLUGIN: "true", CLIENT: None}


@given(
    labels=st.dictionaries(st.sampled_from([f"{DEPLOY}{each}" for each in COMPONENTS]), VALUES),
    components=st.lists(st.sampled_from(COMPONENTS)),
    pause=st.sampled_from(Pause),
)
def test_a_pause_that_ends_restores_exactly_what_was_there(
    labels: Mapping[str, str], components: list[str], pause: Pause
) -> None:
    others = {key: value for key, value in labels.items() if value not in set(Pause)}
    before = ({**others, "x": "y"}, {"a": "b"})
    once = paused(before, *components, pause=pause)
    assert paused(once, *components, pause=pause) == once
    assert resumed(once, pause) == before
    assert resumed(before, pause) == before


def test_a_label_that_someone_else_changes_during_the_pause_retains_its_new_value() -> None:
    labels, annotations = paused(({PLUGIN: "true", DCGM: "true"}, {}), "device-plugin", "dcgm")
    assert resumed(({**labels, PLUGIN: "false"}, annotations)) == ({PLUGIN: "false", DCGM: "true"}, {})


def test_a_label_that_was_set_again_during_the_pause_is_paused_and_recorded_again() -> None:
    labels, annotations = paused(({PLUGIN: "old"}, {}), "device-plugin")
    again = paused(({**labels, PLUGIN: "true"}, annotations), "device-plugin")
    assert again[0] == {PLUGIN: str(MIG)}
    assert resumed(again) == ({PLUGIN: "true"}, {})


def test_a_pause_of_nvidias_manager_without_our_record_is_left_to_it() -> None:
    assert plan_pause({PLUGIN: str(MIG)}, {}, ("device-plugin",), MIG) is None
    assert plan_resume({PLUGIN: str(MIG)}, {}, MIG) is None


@pytest.mark.parametrize("first", [MIG, DRIVER])
def test_two_reasons_at_once_end_in_the_labels_before_both(first: Pause) -> None:
    before: Meta = ({PLUGIN: "true"}, {})
    both = paused(paused(before, "device-plugin", "dcgm"), "device-plugin", "dcgm", pause=DRIVER)
    last = DRIVER if first is MIG else MIG
    assert resumed(resumed(both, first), last) == before


@pytest.mark.parametrize("text", ["", "[", "[]", "3", "null", "[" * 100_000])
def test_a_damaged_record_restores_the_usual_value(text: str) -> None:
    labels = {PLUGIN: str(MIG), DCGM: "x", "other": str(MIG)}
    assert resumed((labels, {MIG.annotation: text})) == ({PLUGIN: "true", DCGM: "x", "other": str(MIG)}, {})


def test_a_record_changes_only_labels_of_a_pause_to_valid_values() -> None:
    text = json.dumps({PLUGIN: "not a value", DCGM: 3, "nvidia.com/mig.config": "x", CLIENT: "true"})
    assert parse_record({}, {MIG.annotation: text}, MIG) == {CLIENT: "true"}


def pod(spec: PodSpec, *, kind: str = "DaemonSet", phase: str = "Running") -> Pod:
    owner = OwnerReference(kind=kind, name="x", controller=True)
    return Pod(metadata=Metadata(name="p", owner_references=(owner,)), spec=spec, status=PodStatus(phase=phase))


def selecting(**selector: str) -> PodSpec:
    return PodSpec(node_selector={f"{DEPLOY}{key}": value for key, value in selector.items()})


def requiring(operator: str, *values: str) -> PodSpec:
    term = NodeSelectorTerm(match_expressions=(Requirement(key=DCGM, operator=operator, values=values),))
    required = NodeSelector(node_selector_terms=(term,))
    return PodSpec(
        affinity=Affinity(node_affinity=NodeAffinity(required_during_scheduling_ignored_during_execution=required))
    )


@pytest.mark.parametrize(
    ("each", "is_leaving"),
    [
        (pod(selecting(dcgm="true")), True),
        (pod(requiring("In", "true")), True),
        (pod(requiring("NotIn", "false")), False),
        (pod(requiring("Exists")), False),
        (pod(selecting(client="true")), False),
        (pod(PodSpec()), False),
        (pod(selecting(dcgm="true"), kind="ReplicaSet"), False),
        (pod(selecting(dcgm="true"), phase="Succeeded"), False),
    ],
)
def test_the_pods_that_must_end_are_those_that_the_pause_deselects(each: Pod, is_leaving: bool) -> None:
    assert bool(select_leaving((each,), "n1", {DCGM: str(MIG)}, {DCGM: "true", CLIENT: None})) is is_leaving
