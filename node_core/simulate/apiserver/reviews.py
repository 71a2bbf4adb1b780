"""Questions that leave nothing behind: whose token is this, and what may they do. PURE. Source: Kubernetes API, TokenReview and
SubjectAccessReview (v1).
"""

from collections.abc import Callable, Mapping
from typing import Any

from node_core.simulate.apiserver.status import Obj, bad_request
from node_core.simulate.apiserver.writes import map_at

UserOf = Callable[[str], str | None]
MayGetPaths = Callable[[str], bool]


def review_token(body: Any, user_of: UserOf, _: MayGetPaths) -> Obj:
    """The answer to a TokenReview, which repeats what was asked."""
    token = map_at(body, "spec").get("token")
    if not isinstance(token, str) or not token:
        raise bad_request("token is required for TokenReview in authentication")
    user = user_of(token)
    if user is None:
        return {**body, "status": {"user": {}}}
    known = {"username": user, "uid": f"uid-of-{user}", "groups": ["system:authenticated"]}
    return {**body, "status": {"authenticated": True, "user": known, "audiences": ["https://kubernetes.default.svc"]}}


def review_access(body: Any, _: UserOf, may_get_paths: MayGetPaths) -> Obj:
    """The answer to a SubjectAccessReview. Of rights this stand-in knows one: to get paths that are no object's."""
    spec = map_at(body, "spec")
    asked = map_at(spec, "nonResourceAttributes")
    user = spec.get("user")
    if not isinstance(user, str) or not user:
        raise bad_request("user is required for SubjectAccessReview")
    return {**body, "status": {"allowed": asked.get("verb") == "get" and may_get_paths(user)}}


REVIEWS: Mapping[str, Callable[[Any, UserOf, MayGetPaths], Obj]] = {
    "/apis/authentication.k8s.io/v1/tokenreviews": review_token,
    "/apis/authorization.k8s.io/v1/subjectaccessreviews": review_access,
}
