"""Server-side apply and field ownership."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulation.apiserver.apply import Manager, apply_config, parse_owners, record_update
from simulation.apiserver.status import ApiError

NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
Obj = dict[str, Any]


def applier(name: str) -> Manager:
    return Manager(operation="Apply", name=name, api_version="v1")


def updater(name: str) -> Manager:
    return Manager(operation="Update", name=name, api_version="v1")


def node(**parts: Any) -> Obj:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, **parts}


def labelled(**labels: str) -> Obj:
    return node(metadata={"name": "n", "labels": labels})


def pod(*containers: Obj) -> Obj:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": list(containers)}}


def applied(live: Obj, config: Obj, name: str = "a", *, force: bool = False, now: str = NOW) -> Obj:
    return apply_config(live, config, applier(name), force=force, now=now)


def fields_of(obj: Obj, name: str) -> Any:
    return next(
        (each["fieldsV1"] for each in obj["metadata"].get("managedFields", ()) if each["manager"] == name), None
    )


def labels_of(obj: Obj) -> Obj:
    return dict(obj["metadata"].get("labels", {}))


def test_a_manager_owns_only_the_labels_that_it_applies() -> None:
    result = applied(labelled(old="1"), labelled(new="2"))
    assert labels_of(result) == {"old": "1", "new": "2"}
    assert result["metadata"]["managedFields"] == [
        {
            "manager": "a",
            "operation": "Apply",
            "apiVersion": "v1",
            "time": NOW,
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:metadata": {"f:labels": {"f:new": {}}}},
        }
    ]


def test_a_label_that_is_not_applied_any_more_is_removed_with_its_empty_map() -> None:
    once = applied(node(), labelled(mine="1"))
    result = applied(once, node())
    assert result["metadata"] == {"name": "n"}


def test_a_label_with_two_owners_is_removed_when_the_last_owner_stops_to_apply_it() -> None:
    both = applied(applied(node(), labelled(x="1"), "a"), labelled(x="1"), "b")
    one = applied(both, node(), "a")
    assert labels_of(one) == {"x": "1"}
    assert fields_of(one, "a") is None
    assert labels_of(applied(one, node(), "b")) == {}


def test_a_conflict_has_the_message_of_kube_apiserver() -> None:
    live = record_update(node(), labelled(foo="theirs"), updater("kubectl-label"), now=NOW)
    with pytest.raises(ApiError) as refused:
        applied(live, labelled(foo="mine"))
    body = refused.value.body()
    assert (body["code"], body["reason"]) == (409, "Conflict")
    assert (
        body["message"] == 'Apply failed with 1 conflict: conflict with "kubectl-label" using v1: .metadata.labels.foo'
    )
    cause = {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "kubectl-label" using v1',
        "field": ".metadata.labels.foo",
    }
    assert body["details"]["causes"] == [cause]


def test_several_conflicts_are_all_listed_by_manager() -> None:
    live = record_update(applied(node(), labelled(a="1"), "x"), labelled(a="1", b="2", c="3"), updater("y"), now=NOW)
    with pytest.raises(ApiError) as refused:
        applied(live, labelled(a="0", b="0", c="0"))
    assert refused.value.message == (
        'Apply failed with 3 conflicts: conflicts with "x":\n- .metadata.labels.a\n'
        'conflicts with "y" using v1:\n- .metadata.labels.b\n- .metadata.labels.c'
    )


def test_a_forced_apply_changes_the_value_and_the_owner() -> None:
    live = applied(node(), labelled(foo="theirs", bar="kept"), "them")
    result = applied(live, labelled(foo="mine"), force=True)
    assert labels_of(result) == {"foo": "mine", "bar": "kept"}
    assert fields_of(result, "them") == {"f:metadata": {"f:labels": {"f:bar": {}}}}


def test_managers_that_apply_equal_values_share_a_field() -> None:
    live = record_update(node(), labelled(foo="same"), updater("kubectl-label"), now=NOW)
    result = applied(live, labelled(foo="same"))
    assert fields_of(result, "a") == {"f:metadata": {"f:labels": {"f:foo": {}}}}
    assert fields_of(result, "kubectl-label") == {"f:metadata": {"f:labels": {".": {}, "f:foo": {}}}}


def test_an_update_becomes_the_only_owner_of_changed_fields() -> None:
    live = applied(node(), labelled(foo="1", bar="1"), "a")
    new = copy.deepcopy(live)
    new["metadata"]["labels"]["foo"] = "2"
    result = record_update(live, new, updater("kubectl-label"), now=LATER)
    assert fields_of(result, "a") == {"f:metadata": {"f:labels": {"f:bar": {}}}}
    assert fields_of(result, "kubectl-label") == {"f:metadata": {"f:labels": {"f:foo": {}}}}


def test_a_removed_field_has_no_owner() -> None:
    live = applied(node(), labelled(foo="1"), "a")
    assert "managedFields" not in record_update(live, node(), updater("kubectl"), now=LATER)["metadata"]


def test_an_update_that_removes_its_own_field_loses_the_field() -> None:
    live = record_update(node(), labelled(foo="1", bar="1"), updater("kubectl"), now=NOW)
    result = record_update(live, labelled(bar="1"), updater("kubectl"), now=LATER)
    assert fields_of(result, "kubectl") == {"f:metadata": {"f:labels": {".": {}, "f:bar": {}}}}


def test_an_update_without_a_change_retains_the_owners_and_their_times() -> None:
    live = record_update(node(), labelled(foo="1"), updater("kubectl"), now=NOW)
    assert record_update(live, copy.deepcopy(live), updater("other"), now=LATER) == live


def test_update_and_apply_with_the_same_name_are_two_managers() -> None:
    live = record_update(node(), labelled(foo="1"), updater("a"), now=NOW)
    with pytest.raises(ApiError, match='conflict with "a" using v1'):
        applied(live, labelled(foo="2"), "a")


def test_list_items_merge_by_key_and_are_removed_with_their_owner() -> None:
    first = applied(pod(), pod({"name": "one", "image": "i", "env": [{"name": "A", "value": "1"}]}), "a")
    both = applied(first, pod({"name": "two", "image": "j"}), "b")
    assert [each["name"] for each in both["spec"]["containers"]] == ["one", "two"]
    assert fields_of(both, "a") == {
        "f:spec": {
            "f:containers": {
                'k:{"name":"one"}': {
                    ".": {},
                    "f:env": {'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}}},
                    "f:image": {},
                    "f:name": {},
                }
            }
        }
    }
    assert [each["name"] for each in applied(both, pod(), "b")["spec"]["containers"]] == ["one"]


def test_the_message_of_a_conflict_in_a_list_item_contains_the_key() -> None:
    live = applied(pod(), pod({"name": "c", "image": "i"}), "a")
    with pytest.raises(ApiError, match=r'conflict with "a": \.spec\.containers\[name="c"\]\.image'):
        applied(live, pod({"name": "c", "image": "j"}), "b")


def test_an_item_with_a_field_of_another_manager_retains_its_key() -> None:
    live = applied(pod(), pod({"name": "c", "image": "i"}), "a")
    new = copy.deepcopy(live)
    new["spec"]["containers"][0]["workingDir"] = "/"
    changed = record_update(live, new, updater("u"), now=NOW)
    assert applied(changed, pod(), "a")["spec"]["containers"] == [{"name": "c", "workingDir": "/"}]


def test_ports_are_keyed_with_the_default_protocol() -> None:
    config = pod({"name": "c", "ports": [{"containerPort": 80}]})
    result = applied(config, config)
    assert len(result["spec"]["containers"][0]["ports"]) == 1
    owned = fields_of(result, "a")["f:spec"]["f:containers"]['k:{"name":"c"}']["f:ports"]
    assert list(owned) == ['k:{"containerPort":80,"protocol":"TCP"}']


def test_taints_are_one_value_with_one_owner() -> None:
    live = applied(node(), node(spec={"taints": [{"key": "a", "effect": "NoSchedule"}]}), "a")
    with pytest.raises(ApiError, match=r'conflict with "a": \.spec\.taints'):
        applied(live, node(spec={"taints": [{"key": "b", "effect": "NoSchedule"}]}), "b")


def test_two_managers_can_own_different_conditions() -> None:
    kubelet = node(status={"conditions": [{"type": "Ready", "status": "True"}]})
    live = record_update(node(), kubelet, updater("kubelet"), now=NOW)
    result = applied(live, node(status={"conditions": [{"type": "GpuHealthy", "status": "True"}]}))
    assert [each["type"] for each in result["status"]["conditions"]] == ["Ready", "GpuHealthy"]


def test_the_time_of_a_manager_changes_only_with_a_change() -> None:
    once = applied(node(), labelled(x="1"), now=NOW)
    assert applied(once, labelled(x="1"), now=LATER) == once
    assert applied(once, labelled(x="2"), now=LATER)["metadata"]["managedFields"][0]["time"] == LATER


def test_a_list_item_without_its_key_cannot_be_merged() -> None:
    with pytest.raises(ApiError, match="omits key field 'name'"):
        applied(pod({"name": "c"}), pod({"image": "i"}))


def test_the_arguments_are_not_changed() -> None:
    live = applied(node(), labelled(x="1"))
    before = copy.deepcopy(live)
    applied(live, labelled(y="1"))
    assert live == before


KEYS = st.sampled_from("abcde")
LABELS = st.dictionaries(KEYS, st.sampled_from("12"))


@given(LABELS, LABELS, LABELS)
def test_apply_is_idempotent(start: dict[str, str], theirs: dict[str, str], mine: dict[str, str]) -> None:
    live = applied(labelled(**start), labelled(**theirs), "b", force=True)
    once = applied(live, labelled(**mine), force=True)
    assert applied(once, labelled(**mine), force=True, now=LATER) == once


@given(LABELS, LABELS, LABELS)
def test_an_empty_apply_removes_exactly_the_labels_with_no_other_owner(
    start: dict[str, str], theirs: dict[str, str], mine: dict[str, str]
) -> None:
    live = applied(labelled(**start), labelled(**theirs), "b", force=True)
    once = applied(live, labelled(**mine), force=True)
    shared = {key for manager, owned in parse_owners(once["metadata"].get("managedFields")).items()
              if manager.name == "b" for key in (path[-1][2:] for path in owned.paths if len(path) == 3)}  # fmt: skip
    expected = {key: value for key, value in labels_of(once).items() if key not in mine or key in shared}
    assert labels_of(applied(once, node())) == expected


@given(LABELS, LABELS)
def test_an_apply_sets_all_applied_values(start: dict[str, str], mine: dict[str, str]) -> None:
    assert labels_of(applied(labelled(**start), labelled(**mine), force=True)) == {**start, **mine}
