"""The newest state of an object, from an informer and from responses."""

from typing import Any

import pytest

from node_core.domain.node import NodeView
from node_core.domain.node_feature import NodeFeatureView
from node_core.publish.object_cache import ObjectCache


def node(version: int, *, uid: str = "u", list_number: int = 1, **labels: str) -> NodeView:
    return NodeView(name="n", uid=uid, resource_version=str(version), labels=labels, list_number=list_number)


def node_feature(version: int, *, uid: str = "u", list_number: int = 1, **labels: str) -> NodeFeatureView:
    return NodeFeatureView(
        uid=uid, resource_version=str(version), labels=labels, features={}, node_name="n", list_number=list_number
    )


@pytest.fixture(params=[node, node_feature], ids=["Node", "NodeFeature"])
def view(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def cache() -> ObjectCache[Any]:
    return ObjectCache()


def test_the_state_is_unknown_at_first(cache: ObjectCache[Any]) -> None:
    assert cache.view is None


def test_the_state_of_an_informer_is_accepted_unless_it_is_older(cache: ObjectCache[Any], view: Any) -> None:
    for state in (view(7), view(7, a="1"), view(10)):
        cache.observe(state)
        assert cache.view is state
    newest = cache.view
    cache.observe(view(9))
    assert cache.view is newest


@pytest.mark.parametrize(
    "options", [{"uid": "v"}, {"list_number": 2}], ids=["another object of this name", "restored cluster"]
)
def test_a_lower_version_of_another_object_or_list_is_accepted(
    cache: ObjectCache[Any], view: Any, options: dict[str, Any]
) -> None:
    cache.observe(view(10))
    state = view(5, **options)
    cache.observe(state)
    assert cache.view is state


def test_a_response_is_stored_until_the_informer_has_a_newer_state(cache: ObjectCache[Any], view: Any) -> None:
    cache.observe(view(7, list_number=3))
    stored = cache.set_from_response(view(10, list_number=0, a="1"))
    assert stored == cache.view == view(10, list_number=3, a="1")
    cache.observe(view(9, list_number=3))
    assert cache.view is stored
    state = view(11, list_number=3)
    cache.observe(state)
    assert cache.view is state


def test_a_response_after_a_restore_replaces_a_higher_version(cache: ObjectCache[Any], view: Any) -> None:
    cache.observe(view(10, list_number=1))
    cache.observe(view(5, list_number=2))
    cache.set_from_response(view(6, list_number=0))
    cache.observe(view(9, list_number=1))
    assert cache.view == view(6, list_number=2)
    assert cache.set_from_response(view(7, list_number=0)).list_number == 2


def test_a_removed_object_is_unknown_and_its_next_state_is_accepted(cache: ObjectCache[Any], view: Any) -> None:
    cache.observe(view(10, list_number=2))
    cache.clear()
    assert cache.view is None
    assert cache.set_from_response(view(11, list_number=0)).list_number == 2
    cache.clear()
    state = view(5, list_number=2)
    cache.observe(state)
    assert cache.view is state
