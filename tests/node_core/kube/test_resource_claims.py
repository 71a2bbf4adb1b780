"""ResourceClaims of API servers of several versions, in pages, and of an API server without resource.k8s.io."""

from collections.abc import Mapping
from typing import Any

import pytest

from node_core.errors import KubeError
from node_core.kube.resource_claims import ResourceClaimApi


class Api:
    """An API server. responses: path -> JSON, or the status of an error; the token of a page is a part of the path."""

    def __init__(self, responses: Mapping[str, Any]) -> None:
        self._responses = responses
        self.requests: list[str] = []

    def request(self, verb: str, path: str, *, query: Mapping[str, str] | None = None) -> Any:
        self.requests.append(path + (query or {}).get("continue", ""))
        found = self._responses.get(self.requests[-1], 404)
        if isinstance(found, int):
            raise KubeError("the request failed", status=found)
        return found


def served(*versions: str) -> dict[str, Any]:
    return {"versions": [{"groupVersion": f"resource.k8s.io/{each}", "version": each} for each in versions]}


@pytest.mark.parametrize(
    ("versions", "expected"),
    [(("v1", "v1beta1"), "v1"), (("v1beta1", "v1beta2"), "v1beta2"), (("v1alpha3", "v1beta1"), "v1beta1")],
)
def test_the_newest_known_version_is_used_and_read_once(versions: tuple[str, ...], expected: str) -> None:
    path = f"/apis/resource.k8s.io/{expected}/namespaces/ml/resourceclaims/a"
    api = Api({"/apis/resource.k8s.io": served(*versions), path: {"metadata": {"name": "a"}}})
    claims = ResourceClaimApi(api)  # type: ignore[arg-type]
    assert claims.get("ml", "a") == claims.get("ml", "a") == {"metadata": {"name": "a"}}
    assert api.requests == ["/apis/resource.k8s.io", path, path]
    assert claims.get("ml", "b") is None


def test_after_a_change_of_the_api_server_a_claim_is_not_missing() -> None:
    new = "/apis/resource.k8s.io/v1/namespaces/ml/resourceclaims/a"
    responses = {"/apis/resource.k8s.io": served("v1beta1"), new.replace("v1", "v1beta1", 1): {"n": 1}}
    claims = ResourceClaimApi(Api(responses))  # type: ignore[arg-type]
    assert claims.version() == "v1beta1"
    responses |= {"/apis/resource.k8s.io": served("v1"), new: {"n": 2}}
    del responses[new.replace("v1", "v1beta1", 1)]
    assert claims.get("ml", "a") == {"n": 2}


@pytest.mark.parametrize(("group", "problem"), [(404, "has no resource.k8s.io"), (served("v1alpha3"), "v1alpha3 only")])
def test_without_a_known_version_the_error_names_what_is_needed(group: Any, problem: str) -> None:
    claims = ResourceClaimApi(Api({"/apis/resource.k8s.io": group}))  # type: ignore[arg-type]
    with pytest.raises(KubeError, match=problem) as error:
        claims.get("ml", "a")
    assert "Kubernetes 1.34" in str(error.value)


@pytest.mark.parametrize("group", [503, [], {"versions": [7]}])
def test_a_failed_request_is_an_error_and_not_a_missing_claim(group: Any) -> None:
    with pytest.raises(KubeError):
        ResourceClaimApi(Api({"/apis/resource.k8s.io": group})).get("ml", "a")  # type: ignore[arg-type]


def test_all_pages_of_the_claims_are_read() -> None:
    path = "/apis/resource.k8s.io/v1/resourceclaims"
    api = Api({
        "/apis/resource.k8s.io": served("v1"),
        path: {"items": [{"n": 1}], "metadata": {"continue": "x"}},
        f"{path}x": {"items": [{"n": 2}], "metadata": {}},
    })  # fmt: skip
    assert ResourceClaimApi(api).list_all() == ({"n": 1}, {"n": 2})  # type: ignore[arg-type]
