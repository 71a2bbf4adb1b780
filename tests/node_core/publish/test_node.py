"""Labels and annotations on the Node: written when they differ, taken from others only after a conflict, never twice."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from node_core.domain.node import NodeView
from node_core.domain.outputs import NodeOutputs
from node_core.errors import KubeError, PublishError
from node_core.publish.node import NodePublisher


class Api:
    """A Node in memory with server-side apply of labels and annotations, as far as one manager sees it."""

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


def test_nothing_is_written_before_the_node_is_known() -> None:
    api = Api({})
    publisher = NodePublisher(api, "gfd")
    assert publisher.known() is None
    with pytest.raises(PublishError, match="not been read"):
        publisher.publish({"a": "1"})
    assert api.calls == []


def test_a_change_is_written_once_and_what_is_current_not_at_all() -> None:
    api = Api({"foreign": "1"})
    publisher = NodePublisher(api, "gfd")
    publisher.refresh()
    assert publisher.publish({"a": "1"})
    assert not publisher.publish({"a": "1"})
    assert api.calls == [({"a": "1"}, False)]
    assert api.view.labels == {"foreign": "1", "a": "1"}


def test_a_new_process_writes_nothing_when_the_node_says_it_already() -> None:
    api = Api({"a": "1"}, owned=frozenset({"a"}))
    publisher = NodePublisher(api, "gfd")
    publisher.refresh()
    assert publisher.known() == {"a": "1"}
    assert not publisher.publish({"a": "1"})
    assert api.calls == []


def test_an_equal_label_of_somebody_else_is_applied_so_that_we_own_it() -> None:
    api = Api({"a": "1"})
    publisher = NodePublisher(api, "gfd")
    publisher.refresh()
    assert publisher.publish({"a": "1"})


def test_a_conflict_is_taken_over_with_force() -> None:
    api = Api({"a": "theirs"}, conflict=True)
    publisher = NodePublisher(api, "gfd")
    publisher.refresh()
    assert publisher.publish({"a": "ours"})
    assert [force for _, force in api.calls] == [False, True]
    assert api.view.labels == {"a": "ours"}


def test_other_refusals_are_not_forced() -> None:
    class Refusing(Api):
        def apply_labels(
            self, manager: str, labels: Mapping[str, str], *, annotations: Mapping[str, str], force: bool
        ) -> NodeView:
            self.calls.append((dict(labels), force))
            raise KubeError("forbidden", status=403)

    api = Refusing({})
    publisher = NodePublisher(api, "gfd")
    publisher.refresh()
    with pytest.raises(KubeError, match="forbidden"):
        publisher.publish({"a": "1"})
    assert len(api.calls) == 1


def test_an_older_state_from_the_watch_does_not_undo_what_we_know_from_our_write() -> None:
    api = Api({})
    publisher = NodePublisher(api, "gfd")
    before = api.view
    publisher.refresh()
    publisher.publish({"a": "1"})
    publisher.observe(before)
    assert publisher.is_current({"a": "1"})


def test_a_node_that_was_created_anew_is_taken_as_it_is() -> None:
    api = Api({"a": "1"}, owned=frozenset({"a"}))
    publisher = NodePublisher(api, "gfd")
    publisher.refresh()
    publisher.observe(NodeView(name="n", uid="new", resource_version="0", labels={}))
    assert not publisher.is_current({"a": "1"})


def test_labels_of_this_process_are_known_even_after_somebody_removed_them() -> None:
    api = Api({})
    publisher = NodePublisher(api, "gfd")
    publisher.refresh()
    publisher.publish({"a": "1"})
    publisher.observe(replace(api.view, resource_version="9", labels={}, owned={}))
    assert publisher.known() == {"a": "1"}


def test_a_cluster_that_was_restored_from_a_backup_is_believed_from_its_first_look_on() -> None:
    api = Api({})
    api.view = replace(api.view, resource_version="1000", look=1)
    publisher = NodePublisher(api, "gfd")
    publisher.refresh()
    publisher.publish({"a": "1"})
    restored = replace(api.view, resource_version="500", labels={}, owned={"gfd": frozenset()}, look=2)
    publisher.observe(restored)
    assert not publisher.is_current({"a": "1"})
    api.view = restored
    assert publisher.publish({"a": "1"})
    publisher.observe(restored)
    assert publisher.is_current({"a": "1"}), "the answer to our write belongs to the new look"
    publisher.observe(replace(api.view, resource_version="502", labels={}))
    assert not publisher.is_current({"a": "1"})


class Wanted:
    """What a look decided, which the test changes."""

    outputs: NodeOutputs | None = None

    def __call__(self) -> NodeOutputs | None:
        return self.outputs


def annotating(api: Api, outputs: NodeOutputs | None) -> tuple[NodePublisher, Wanted]:
    wanted = Wanted()
    wanted.outputs = outputs
    publisher = NodePublisher(api, "gfd", outputs=wanted)
    publisher.refresh()
    return publisher, wanted


def test_labels_and_annotations_go_out_in_one_request_and_then_not_at_all() -> None:
    api = Api({})
    publisher, _ = annotating(api, NodeOutputs(annotations={"b": "2"}))
    assert publisher.publish({"a": "1"})
    assert [publisher.publish({"a": "1"}) for _ in range(100)].count(True) == 0
    assert (api.calls, api.annotated) == ([({"a": "1"}, False)], [{"b": "2"}])


def test_an_annotation_alone_is_reason_to_write() -> None:
    api = Api({})
    publisher, wanted = annotating(api, NodeOutputs())
    publisher.publish({"a": "1"})
    wanted.outputs = NodeOutputs(annotations={"b": "2"})
    assert not publisher.is_current({"a": "1"})
    assert publisher.publish({"a": "1"})
    assert api.view.annotations == {"b": "2"}


def test_annotations_stay_while_nothing_is_decided_and_after_a_partial_look_and_then_go() -> None:
    api = Api({})
    annotating(api, NodeOutputs(annotations={"b": "2"}))[0].publish({})
    publisher, wanted = annotating(api, None)
    assert not publisher.publish({})
    wanted.outputs = NodeOutputs(annotations={"c": "3"}, partial=True)
    assert publisher.publish({})
    assert api.view.annotations == {"b": "2", "c": "3"}
    wanted.outputs = NodeOutputs(annotations={"c": "3"})
    assert publisher.publish({})
    assert api.view.annotations == {"c": "3"}


def test_an_annotation_that_somebody_took_away_is_put_back_also_while_nothing_is_decided() -> None:
    api = Api({})
    publisher, wanted = annotating(api, NodeOutputs(annotations={"b": "2"}))
    publisher.publish({})
    wanted.outputs = None
    publisher.observe(replace(api.view, resource_version="9", annotations={}, owned_annotations={}))
    assert publisher.publish({})
    assert api.annotated == [{"b": "2"}, {"b": "2"}]


def test_labels_of_gfd_are_left_to_it_and_that_is_said_once() -> None:
    api = Api({"nvidia.com/gpu.product": "A40"}, owned=frozenset({"nvidia.com/gpu.product"}))
    api.view = replace(api.view, owned={**api.view.owned, "nfd-lite": frozenset()})
    publisher = NodePublisher(api, "nfd-lite")
    publisher.observe(api.view)
    with capture_logs() as lines:
        assert publisher.publish({"nvidia.com/gpu.product": "mine", "x/y": "1"})
        publisher.is_current({"nvidia.com/gpu.product": "mine", "x/y": "1"})
    assert api.calls == [({"x/y": "1"}, False)]
    assert [line["event"] for line in lines] == ["label_left_to_another"]
