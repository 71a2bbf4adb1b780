"""Labels and annotations on the Node: one write for each difference, and an overwrite of other managers only after a conflict."""

from collections.abc import Mapping

import pytest
from structlog.testing import capture_logs

from node_core.domain.extended_resources import ResourcePlan
from node_core.domain.node import NodeView
from node_core.domain.reconcile import ApplyMetadata, FieldOwner
from node_core.domain.taints import TaintPlan
from node_core.errors import KubeError, PublishError
from node_core.publish.node import NodeWriter
from node_core.values import replace
from tests.node_core.publish.publishing import Publishing


class Api:
    """A Node in memory, with the server-side apply of labels and annotations of one manager."""

    def __init__(self, labels: Mapping[str, str], owned: frozenset[str] = frozenset(), conflict: bool = False) -> None:
        self.view = NodeView(name="n", uid="u", resource_version="1", labels=labels, owned={"gfd": owned})
        self.conflict = conflict
        self.calls: list[tuple[dict[str, str], bool]] = []
        self.annotated: list[dict[str, str]] = []

    def get(self) -> NodeView:
        return self.view

    def apply_labels(
        self, manager: str, labels: Mapping[str, str], *, annotations: Mapping[str, str], force: bool
    ) -> NodeView:
        self.calls.append((dict(labels), force))
        self.annotated.append(dict(annotations))
        if self.conflict and not force:
            raise KubeError("Apply failed with 1 conflict", status=409)
        others = {key: value for key, value in self.view.labels.items() if key not in self.view.owned[manager]}
        self.view = replace(
            self.view,
            resource_version=str(int(self.view.resource_version) + 1),
            labels={**others, **labels},
            owned={manager: frozenset(labels)},
            annotations=dict(annotations),
            owned_annotations={manager: frozenset(annotations)},
        )
        return self.view

    def set_capacity(self, manager: str, plan: ResourcePlan) -> NodeView:
        raise NotImplementedError

    def set_taints(self, manager: str, plan: TaintPlan, observed: NodeView, *, taints_annotation: str) -> NodeView:
        raise NotImplementedError


def publishing(api: Api) -> Publishing:
    return Publishing(NodeWriter(api, FieldOwner(manager="gfd", taints_annotation="example.com/taints")))


def test_nothing_is_written_before_the_node_is_known() -> None:
    api = Api({})
    publisher = publishing(api)
    assert publisher.known() is None
    with pytest.raises(PublishError, match="has not read the Node yet"):
        publisher.publish({"a": "1"})
    assert api.calls == []


def test_a_change_is_written_once() -> None:
    api = Api({"foreign": "1"})
    publisher = publishing(api)
    publisher.writer.refresh()
    assert publisher.publish({"a": "1"})
    assert not publisher.publish({"a": "1"})
    assert api.calls == [({"a": "1"}, False)]
    assert api.view.labels == {"foreign": "1", "a": "1"}


def test_a_new_process_writes_nothing_if_the_node_has_the_labels() -> None:
    api = Api({"a": "1"}, owned=frozenset({"a"}))
    publisher = publishing(api)
    publisher.writer.refresh()
    assert publisher.known() == {"a": "1"}
    assert not publisher.publish({"a": "1"})
    assert api.calls == []


def test_an_equal_label_of_another_manager_is_applied_to_own_it() -> None:
    api = Api({"a": "1"})
    publisher = publishing(api)
    publisher.writer.refresh()
    assert publisher.publish({"a": "1"})


def test_a_conflict_is_resolved_with_force() -> None:
    api = Api({"a": "theirs"}, conflict=True)
    publisher = publishing(api)
    publisher.writer.refresh()
    assert publisher.publish({"a": "ours"})
    assert [force for _, force in api.calls] == [False, True]
    assert api.view.labels == {"a": "ours"}


def test_a_repeated_conflict_is_logged_once_in_ten_minutes_with_its_count() -> None:
    api, now = Api({}, conflict=True), [0.0]
    writer = NodeWriter(api, FieldOwner(manager="gfd", taints_annotation="t"), clock=lambda: now[0])
    writer.refresh()
    with capture_logs() as lines:
        for second in (0, 60, 599, 600, 700):
            now[0] = float(second)
            writer.apply(ApplyMetadata(labels={"a": "ours"}, annotations={}))
    assert [line["count"] for line in lines if line["event"] == "label_conflict_overridden"] == [1, 3]


def test_other_errors_are_not_forced() -> None:
    class Refusing(Api):
        def apply_labels(
            self, manager: str, labels: Mapping[str, str], *, annotations: Mapping[str, str], force: bool
        ) -> NodeView:
            self.calls.append((dict(labels), force))
            raise KubeError("forbidden", status=403)

    api = Refusing({})
    publisher = publishing(api)
    publisher.writer.refresh()
    with pytest.raises(KubeError, match="forbidden"):
        publisher.publish({"a": "1"})
    assert len(api.calls) == 1


def test_an_older_state_from_the_watch_does_not_replace_the_state_of_the_last_write() -> None:
    api = Api({})
    publisher = publishing(api)
    before = api.view
    publisher.writer.refresh()
    publisher.publish({"a": "1"})
    publisher.writer.observe(before)
    assert publisher.is_current({"a": "1"})


def test_a_recreated_node_replaces_the_known_state() -> None:
    api = Api({"a": "1"}, owned=frozenset({"a"}))
    publisher = publishing(api)
    publisher.writer.refresh()
    publisher.writer.observe(NodeView(name="n", uid="new", resource_version="0", labels={}))
    assert not publisher.is_current({"a": "1"})


def test_the_first_list_after_a_restore_from_a_backup_replaces_the_known_state() -> None:
    api = Api({})
    api.view = replace(api.view, resource_version="1000", list_number=1)
    publisher = publishing(api)
    publisher.writer.refresh()
    publisher.publish({"a": "1"})
    restored = replace(api.view, resource_version="500", labels={}, owned={"gfd": frozenset()}, list_number=2)
    publisher.writer.observe(restored)
    assert not publisher.is_current({"a": "1"})
    api.view = restored
    assert publisher.publish({"a": "1"})
    publisher.writer.observe(restored)
    assert publisher.is_current({"a": "1"}), "the response of the write belongs to the new discovery"
    publisher.writer.observe(replace(api.view, resource_version="502", labels={}))
    assert not publisher.is_current({"a": "1"})


def test_without_overwriting_a_label_that_another_client_sets_at_the_same_time_remains() -> None:
    api = Api({}, conflict=True)
    owner = FieldOwner(manager="gfd", taints_annotation="example.com/taints", may_overwrite=False)
    publisher = Publishing(NodeWriter(api, owner))
    publisher.writer.refresh()
    api.view = replace(api.view, resource_version="2", labels={"a": "paused"})
    assert publisher.publish({"a": "true", "b": "1"})
    assert api.calls == [({"a": "true", "b": "1"}, False), ({"b": "1"}, True)]
    assert api.view.labels == {"a": "paused", "b": "1"}
