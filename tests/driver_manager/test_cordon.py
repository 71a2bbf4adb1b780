"""Cordoning the own Node."""

import pytest

from driver_manager.cordon import CORDON, NodeCordon
from node_core.errors import KubeError
from tests.driver_manager.places import Place


def cordon(place: Place) -> NodeCordon:
    return place.uninstaller().cordon


def test_a_cordon_ends_with_its_record(place: Place) -> None:
    cordon(place).begin()
    assert place.api.node["spec"] == {"unschedulable": True}
    assert CORDON in place.api.node["metadata"]["annotations"]
    cordon(place).end()
    assert (place.api.node["spec"], place.api.node["metadata"]["annotations"]) == ({}, {})


def test_the_cordon_of_a_person_stays(place: Place) -> None:
    place.api.node["spec"]["unschedulable"] = True
    cordon(place).begin()
    cordon(place).end()
    assert place.api.node["spec"] == {"unschedulable": True}
    assert place.api.writes == []


def test_a_change_in_between_is_not_overwritten(place: Place) -> None:
    read = place.api.request

    def change_after_read(verb: str, path: str, **request: object) -> object:
        answer = read(verb, path, **request)
        if verb == "GET" and len(place.api.writes) == 0:
            place.api.node["metadata"]["resourceVersion"] = "7"
            place.api.request = read  # type: ignore[method-assign]
        return answer

    place.api.request = change_after_read  # type: ignore[method-assign, assignment]
    cordon(place).begin()
    assert place.api.node["spec"] == {"unschedulable": True}


def test_an_error_of_the_api_server_is_raised(place: Place) -> None:
    place.api.errors = [KubeError("down")]
    with pytest.raises(KubeError, match="down"):
        cordon(place).begin()
