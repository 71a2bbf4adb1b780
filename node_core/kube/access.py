"""Who has a token and what they may read, as the API server says. Sources: Kubernetes API, TokenReview and SubjectAccessReview (v1)."""

from collections.abc import Mapping
from typing import Any

from node_core.kube.client import NodeApi, understand

_TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
_ACCESS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_JSON = "application/json"

User = Mapping[str, Any]
"""username, uid, groups and extra, as a TokenReview has them."""


class AccessApi:
    """Needs `create` on tokenreviews and subjectaccessreviews."""

    def __init__(self, api: NodeApi) -> None:
        self._api = api

    def user_of(self, token: str) -> User | None:
        """None when the token is nobody's. Raises KubeError."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        return understand(parse_token_review, self._api.request("POST", _TOKENS, body=body, content=_JSON))

    def may_read(self, user: User, path: str) -> bool:
        """Whether a user may `get` a path that is no object's. Raises KubeError."""
        body = render_access_review(user, path)
        return understand(parse_access_review, self._api.request("POST", _ACCESS, body=body, content=_JSON))


def parse_token_review(answer: Mapping[str, Any]) -> User | None:
    status = answer["status"]
    if status.get("authenticated") is not True:
        return None
    user: User = dict(status["user"])
    return user if user.get("username") else None


def render_access_review(user: User, path: str) -> dict[str, Any]:
    """A TokenReview's `username` is called `user` here."""
    about = {key: user[key] for key in ("uid", "groups", "extra") if user.get(key)}
    spec = {"user": user["username"], **about, "nonResourceAttributes": {"path": path, "verb": "get"}}
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}


def parse_access_review(answer: Mapping[str, Any]) -> bool:
    return answer["status"].get("allowed") is True
