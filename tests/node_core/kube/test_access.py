"""Reviews of tokens and of their users' access."""

from collections.abc import Mapping
from typing import Any

import pytest

from node_core.errors import KubeError
from node_core.kube.access import AccessApi, parse_access_review, parse_token_review, render_access_review
from node_core.kube.http import ApiClient
from simulation.apiserver import ApiServer


class RecordingApi(ApiClient):
    """Records each request, and returns the same response to all."""

    def __init__(self, response: Any) -> None:
        super().__init__(kubeconfig=None, user_agent="t")
        self.requests: list[tuple[str, str, Any]] = []
        self._response = response

    def request(self, verb: str, path: str, **request: Any) -> Mapping[str, Any]:
        self.requests.append((verb, path, request))
        response: Mapping[str, Any] = self._response
        return response


@pytest.mark.parametrize(
    ("status", "user"),
    [
        ({"authenticated": True, "user": {"username": "u", "uid": "1"}}, {"username": "u", "uid": "1"}),
        ({"authenticated": False, "user": {"username": "u"}}, None),
        ({"authenticated": "true", "user": {"username": "u"}}, None),
        ({"user": {"username": "u"}}, None),
        ({"authenticated": True, "user": {}}, None),
        ({"authenticated": True, "user": {"username": ""}}, None),
    ],
    ids=["valid", "not valid", "not a boolean", "no result", "no name", "empty name"],
)
def test_only_an_authenticated_user_with_a_name_is_accepted(status: Any, user: Any) -> None:
    assert parse_token_review({"status": status}) == user


@pytest.mark.parametrize(
    ("status", "is_allowed"),
    [({"allowed": True}, True), ({"allowed": False}, False), ({"allowed": "true"}, False), ({}, False)],
)
def test_only_an_explicit_permission_allows_a_request(status: Any, is_allowed: bool) -> None:
    assert parse_access_review({"status": status}) is is_allowed


@pytest.mark.parametrize(
    ("user", "spec"),
    [
        ({"username": "u"}, {"user": "u"}),
        ({"username": "u", "uid": "", "groups": [], "extra": {}}, {"user": "u"}),
        (
            {"username": "u", "uid": "1", "groups": ["g"], "extra": {"a": ["b"]}, "other": "x"},
            {"user": "u", "uid": "1", "groups": ["g"], "extra": {"a": ["b"]}},
        ),
    ],
    ids=["only a name", "empty fields", "all fields"],
)
def test_a_review_contains_the_user_and_the_path(user: Any, spec: dict[str, Any]) -> None:
    expected = spec | {"nonResourceAttributes": {"path": "/metrics", "verb": "get"}}
    assert render_access_review(user, "/metrics")["spec"] == expected


def test_a_token_is_sent_to_the_token_review() -> None:
    api = RecordingApi({"status": {"authenticated": True, "user": {"username": "u"}}})
    assert AccessApi(api).authenticate("secret") == {"username": "u"}
    ((verb, path, request),) = api.requests
    assert (verb, path) == ("POST", "/apis/authentication.k8s.io/v1/tokenreviews")
    assert (request["body"]["kind"], request["body"]["spec"]) == ("TokenReview", {"token": "secret"})
    assert request["content"] == "application/json"


@pytest.mark.parametrize("response", [{}, [], None, {"status": None}, {"status": []}], ids=repr)
def test_an_unusable_response_is_a_kube_error(response: Any) -> None:
    access = AccessApi(RecordingApi(response))
    with pytest.raises(KubeError, match=r"cannot parse the API server's response.*no proxy responds"):
        access.authenticate("secret")
    with pytest.raises(KubeError, match=r"cannot parse the API server's response.*no proxy responds"):
        access.is_allowed({"username": "u"}, "/metrics")


def test_the_api_server_authenticates_and_authorizes_users(server: ApiServer, api: ApiClient) -> None:
    server.accept_token("scraper-token", "scraper")
    server.accept_token("other-token", "other")
    server.allow_paths("scraper")
    access = AccessApi(api)
    scraper, other = access.authenticate("scraper-token"), access.authenticate("other-token")
    assert scraper is not None
    assert other is not None
    assert (scraper["username"], other["username"]) == ("scraper", "other")
    assert (access.is_allowed(scraper, "/metrics"), access.is_allowed(other, "/metrics")) == (True, False)
    assert access.authenticate("unknown-token") is None


@pytest.mark.parametrize(
    ("resource", "attributes"),
    [
        ("nodes", {"verb": "patch", "resource": "nodes"}),
        ("nodes/status", {"verb": "patch", "resource": "nodes", "subresource": "status"}),
    ],
)
def test_the_own_permissions_are_reviewed_for_a_resource_and_its_subresource(
    resource: str, attributes: dict[str, str]
) -> None:
    api = RecordingApi({"status": {"allowed": True}})
    assert AccessApi(api).may_i("patch", resource)
    ((verb, path, request),) = api.requests
    assert (verb, path) == ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
    assert request["body"]["spec"] == {"resourceAttributes": attributes}
