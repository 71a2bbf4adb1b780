"""Authenticates a token, and authorizes its user. Source: Kubernetes API, TokenReview v1 and SubjectAccessReview v1."""

from collections.abc import Mapping
from typing import Any

from node_core.kube.http import ApiClient, parse_response

_TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
_ACCESS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_OWN_ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_JSON = "application/json"

User = Mapping[str, Any]
"""username, uid, groups and extra of a TokenReview."""


class AccessApi:
    """Needs `create` on tokenreviews and subjectaccessreviews."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    def authenticate(self, token: str) -> User | None:
        """Returns the user of a token, or None if the token is not valid. Raises KubeError."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        return parse_response(parse_token_review, self._api.request("POST", _TOKENS, body=body, content=_JSON))

    def is_allowed(self, user: User, path: str) -> bool:
        """True if the user may `get` a non-resource path. Raises KubeError."""
        body = render_access_review(user, path)
        return parse_response(parse_access_review, self._api.request("POST", _ACCESS, body=body, content=_JSON))

    def may_i(self, verb: str, resource: str) -> bool:
        """True if these credentials may use the verb on all objects of the core API. resource: `nodes`, or `nodes/status`.

        Every authenticated user may ask this. Source: Kubernetes API, SelfSubjectAccessReview v1. Raises KubeError.
        """
        body = render_own_access_review(verb, resource)
        return parse_response(parse_access_review, self._api.request("POST", _OWN_ACCESS, body=body, content=_JSON))


def parse_token_review(response: Mapping[str, Any]) -> User | None:
    status = response["status"]
    if status.get("authenticated") is not True:
        return None
    user: User = dict(status["user"])
    return user if user.get("username") else None


def render_access_review(user: User, path: str) -> dict[str, Any]:
    """Renders a SubjectAccessReview. The `username` of a TokenReview is its field `user`."""
    about = {key: user[key] for key in ("uid", "groups", "extra") if user.get(key)}
    spec = {"user": user["username"], **about, "nonResourceAttributes": {"path": path, "verb": "get"}}
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}


def render_own_access_review(verb: str, resource: str) -> dict[str, Any]:
    """Renders a SelfSubjectAccessReview for a resource of the core API."""
    kind, _, subresource = resource.partition("/")
    attributes = {"verb": verb, "resource": kind, **({"subresource": subresource} if subresource else {})}
    spec = {"resourceAttributes": attributes}
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}


def parse_access_review(response: Mapping[str, Any]) -> bool:
    return response["status"].get("allowed") is True
