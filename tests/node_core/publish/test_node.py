"""Labels on the Node: written when they differ, taken from others only after a conflict, never twice."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from node_core.domain.node import NodeView
from node_core.errors import KubeError, PublishError
from node_core.publish.node import NodePublisher


class Api:
    """A Node in memory with server-side apply of labels, as far as one manager sees it."""

    def __init__(self, labels: Mapping[str, str], owned: frozenset[str] = frozenset(), conflict: bool = False) -> None:
        self.view = NodeView(name="n", uid="u", resource_version="1", labels=labels, owned={"gfd": owned})
        self.conflict = conflict
        self.calls: list[tuple[dict[str, str], bool]] = []

    def get(self) -> NodeView:
        return self.view

    def apply_labels(self, manager: str, labels: Mapping[str, str], *, force: bool) -> NodeView:
        self.calls.append((dict(labels), force))
        if self.conflict and not force:
            raise KubeError("Apply failed with 1 conflict", status=409)
        others = {key: value for key, value in self.view.labels.items() if key not in self.view.owned[manager]}
        self.view = replace(
            self.view,
            resource_version=str(int(self.view.resource_version) + 1),
            labels={**others, **labels},
            owned={manager: frozenset(labels)},
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
        def apply_labels(self, manager: str, labels: Mapping[str, str], *, force: bool) -> NodeView:
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
