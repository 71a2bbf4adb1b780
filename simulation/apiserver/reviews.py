"""TokenReview, SubjectAccessReview and SelfSubjectAccessReview, which the API does not store. PURE.

Source: Kubernetes API, all in version v1.
"""

from collections.abc import Callable, Mapping
from typing import Any

from simulation.apiserver.status import Obj, bad_request
from simulation.apiserver.writes import map_at

UserOf = Callable[[str], str | None]
MayGetPaths = Callable[[str], bool]


def review_token(body: Any, user_of: UserOf, _: MayGetPaths) -> Obj:
    """Returns the TokenReview with its status."""
    token = map_at(body, "spec").get("token")
    if not isinstance(token, str) or not token:
        raise bad_request("token is required for TokenReview in authentication")
    user = user_of(token)
    if user is None:
        return {**body, "status": {"user": {}}}
    known = {"username": user, "uid": f"uid-of-{user}", "groups": ["system:authenticated"]}
    return {**body, "status": {"authenticated": True, "user": known, "audiences": ["https://kubernetes.default.svc"]}}


def review_access(body: Any, _: UserOf, may_get_paths: MayGetPaths) -> Obj:
    """Returns the SubjectAccessReview with its status. The only simulated permission is to get paths that are not paths of objects."""
    spec = map_at(body, "spec")
    http_request = map_at(spec, "nonResourceAttributes")
    user = spec.get("user")
    if not isinstance(user, str) or not user:
        raise bad_request("user is required for SubjectAccessReview")
    return {**body, "status": {"allowed": http_request.get("verb") == "get" and may_get_paths(user)}}


def review_own_access(body: Any, _: UserOf, __: MayGetPaths) -> Obj:
    """Returns the SelfSubjectAccessReview with its status. Every client may do everything with objects."""
    attributes = map_at(map_at(body, "spec"), "resourceAttributes")
    return {**body, "status": {"allowed": isinstance(attributes.get("verb"), str)}}


REVIEWS: Mapping[str, Callable[[Any, UserOf, MayGetPaths], Obj]] = {
    "/apis/authentication.k8s.io/v1/tokenreviews": review_token,
    "/apis/authorization.k8s.io/v1/subjectaccessreviews": review_access,
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": review_own_access,
}
