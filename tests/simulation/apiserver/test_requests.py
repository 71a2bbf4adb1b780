"""Request lines."""

import pytest

from simulation.apiserver.requests import parse_request
from simulation.apiserver.status import ApiError


@pytest.mark.parametrize(
    ("method", "url", "verb", "template"),
    [
        ("GET", "/api/v1/nodes", "list", "/api/v1/nodes"),
        ("GET", "/api/v1/nodes?watch=true&fieldSelector=metadata.name%3Dn1", "watch", "/api/v1/nodes"),
        ("GET", "/api/v1/nodes/n1", "get", "/api/v1/nodes/{name}"),
        ("PATCH", "/api/v1/nodes/n1/status", "patch", "/api/v1/nodes/{name}/status"),
        ("GET", "/api/v1/pods", "list", "/api/v1/pods"),
        ("GET", "/api/v1/namespaces", "list", "/api/v1/namespaces"),
        ("DELETE", "/api/v1/namespaces/x", "delete", "/api/v1/namespaces/{name}"),
        ("PUT", "/api/v1/namespaces/x/status", "update", "/api/v1/namespaces/{name}/status"),
        ("POST", "/api/v1/namespaces/x/pods", "create", "/api/v1/namespaces/{namespace}/pods"),
        (
            "GET",
            "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n",
            "get",
            "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}",
        ),
    ],
    ids=str,
)
def test_a_request_line_is_parsed_to_a_verb_and_a_path_template(
    method: str, url: str, verb: str, template: str
) -> None:
    request = parse_request(method, url)
    assert (request.verb, request.template) == (verb, template)


@pytest.mark.parametrize(
    "url",
    [
        "/",
        "/api/v2/nodes",
        "/api/v1/services",
        "/apis/apps/v1/unknown",
        "/api/v1/nodes/n/log",
        "/api/v1/namespaces/x/pods/p/binding",
        "/api/v1/pods/p",
        "/api/v1/nodes/a/b/c",
    ],
)
def test_an_unknown_path_is_not_found(url: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_request("GET", url)
    assert refused.value.status == 404


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("POST", "/api/v1/nodes/n"),
        ("POST", "/api/v1/pods"),
        ("PUT", "/api/v1/nodes"),
        ("DELETE", "/api/v1/namespaces/x/pods"),
        ("DELETE", "/api/v1/nodes/n/status"),
    ],
)
def test_an_unsupported_method_is_not_allowed(method: str, url: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_request(method, url)
    assert refused.value.status == 405
