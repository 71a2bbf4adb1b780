"""Writes of one Node against the simulated API server: apply, conflicts, taints."""

import pytest

from node_core.domain.extended_resources import ResourcePlan
from node_core.domain.taints import GFD_TAINTS_ANNOTATION, Taint, TaintPlan, render_taint
from node_core.errors import KubeError
from node_core.kube.client import NodeApi


def test_labels_are_applied_owned_and_removed(api: NodeApi) -> None:
    view = api.apply_labels("gfd", {"nvidia.com/gpu.count": "8"}, force=False)
    assert view.labels_by("gfd") == {"nvidia.com/gpu.count": "8"}
    assert "kubernetes.io/hostname" in view.labels
    view = api.apply_labels("gfd", {}, force=False)
    assert "nvidia.com/gpu.count" not in view.labels
    assert "kubernetes.io/hostname" in view.labels


def test_two_managers_retain_their_own_labels(api: NodeApi) -> None:
    api.apply_labels("gfd", {"nvidia.com/gpu.count": "8"}, force=False)
    view = api.apply_labels("nfd-lite", {"nvidia.com/gpu.present": "true"}, force=False)
    assert view.labels_by("gfd") == {"nvidia.com/gpu.count": "8"}
    assert view.labels_by("nfd-lite") == {"nvidia.com/gpu.present": "true"}


def test_a_conflict_names_the_field_and_the_manager_and_force_overrides_it(api: NodeApi) -> None:
    api.apply_labels("kubectl", {"nvidia.com/gpu.count": "7"}, force=False)
    with pytest.raises(KubeError, match=r'conflict with "kubectl".*nvidia.com/gpu.count') as caught:
        api.apply_labels("gfd", {"nvidia.com/gpu.count": "8"}, force=False)
    assert caught.value.status == 409
    assert api.apply_labels("gfd", {"nvidia.com/gpu.count": "8"}, force=True).labels["nvidia.com/gpu.count"] == "8"


def test_an_invalid_value_is_a_422(api: NodeApi) -> None:
    with pytest.raises(KubeError) as caught:
        api.apply_labels("gfd", {"nvidia.com/gpu.product": "no good"}, force=False)
    assert caught.value.status == 422


def test_a_resource_of_the_kubelet_is_cleared_before_it_is_applied(api: NodeApi) -> None:
    api.set_capacity("kubelet", ResourcePlan(resources={"a.com/a": "0"}))
    view = api.set_capacity("nfd-lite", ResourcePlan(resources={"a.com/a": "2"}, cleared={"a.com/a": "0"}))
    assert view.capacity["a.com/a"] == "2"


def test_a_resource_that_changed_before_it_is_cleared_is_a_conflict(api: NodeApi) -> None:
    api.set_capacity("kubelet", ResourcePlan(resources={"a.com/a": "1"}))
    with pytest.raises(KubeError, match="cannot clear the capacity") as caught:
        api.set_capacity("nfd-lite", ResourcePlan(resources={"b.com/b": "2"}, cleared={"a.com/a": "0"}))
    assert caught.value.status == 409
    assert "b.com/b" not in api.get().capacity


def test_taints_and_their_annotation_are_written_together_and_only_to_the_observed_version(api: NodeApi) -> None:
    taint = Taint(key="nvidia.com/a", effect="NoSchedule")
    plan = TaintPlan(taints=(render_taint(taint),), owned=frozenset({taint}))
    before = api.get()
    after = api.set_taints("gfd", plan, before, taints_annotation=GFD_TAINTS_ANNOTATION)
    assert after.taints == ({"key": "nvidia.com/a", "effect": "NoSchedule"},)
    assert after.annotations[GFD_TAINTS_ANNOTATION] == "nvidia.com/a:NoSchedule"
    with pytest.raises(KubeError, match="cannot write the taints") as caught:
        api.set_taints("gfd", plan, before, taints_annotation=GFD_TAINTS_ANNOTATION)
    assert caught.value.status == 409


def test_writes_of_labels_and_taints_do_not_affect_each_other(api: NodeApi) -> None:
    taint = Taint(key="nvidia.com/a", effect="NoSchedule")
    api.set_taints(
        "gfd",
        TaintPlan(taints=(render_taint(taint),), owned=frozenset({taint})),
        api.get(),
        taints_annotation=GFD_TAINTS_ANNOTATION,
    )
    view = api.apply_labels("gfd", {"nvidia.com/b": "1"}, force=False)
    assert (len(view.taints), GFD_TAINTS_ANNOTATION in view.annotations) == (1, True)
    view = api.set_taints("gfd", TaintPlan(taints=(), owned=frozenset()), view, taints_annotation=GFD_TAINTS_ANNOTATION)
    assert view.labels_by("gfd") == {"nvidia.com/b": "1"}


def test_labels_and_annotations_of_others_are_patched_in_one_step(api: NodeApi) -> None:
    api.apply_labels("gfd", {"a/a": "1", "a/b": "2"}, force=False)
    before = api.get()
    after = api.patch_metadata(
        "mig", labels={"a/a": "3", "a/b": None}, annotations={"c": "d"}, version=before.resource_version
    )
    assert (after.labels.get("a/a"), after.labels.get("a/b"), after.annotations.get("c")) == ("3", None, "d")
    assert after.labels["kubernetes.io/hostname"] == before.labels["kubernetes.io/hostname"]


def test_a_patch_of_metadata_that_was_planned_for_another_version_is_a_conflict(api: NodeApi) -> None:
    version = api.get().resource_version
    api.apply_labels("gfd", {"a/a": "1"}, force=False)
    with pytest.raises(KubeError) as caught:
        api.patch_metadata("mig", labels={"a/a": "3"}, annotations={}, version=version)
    assert caught.value.status == 409
