"""Each request gets a response or an ApiError, and never another exception."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulation.apiserver import ApiServer
from simulation.apiserver.handler import HttpRequest, handle
from simulation.apiserver.status import ApiError
from tests.exhaustive import many

NAMES = st.sampled_from(
    [
        "metadata",
        "name",
        "labels",
        "spec",
        "status",
        "taints",
        "key",
        "effect",
        "containers",
        "resources",
        "limits",
        "conditions",
        "type",
    ]
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 2), st.sampled_from(["", "x", "nvidia.com/gpu", "Bad Name"])
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)
BODIES = st.fixed_dictionaries({"metadata": JSON}, optional={"spec": JSON, "status": JSON})
CONTENTS = [
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
    "application/json",
]


@pytest.fixture(scope="module")
def server() -> ApiServer:
    made = ApiServer()
    made.add_node("x")
    return made


def ask(
    server: ApiServer, method: str, url: str, body: Any = None, content: str = "application/json", accept: str = "*/*"
) -> Any:
    headers = {"authorization": f"Bearer {server.token}", "content-type": content, "accept": accept}
    return handle(
        server, HttpRequest(method=method, url=url, headers=headers, body=json.dumps(body).encode()), lambda: False
    )


def status_of(server: ApiServer, *request: Any) -> int:
    try:
        return int(ask(server, *request).status)
    except ApiError as refused:
        return refused.status


@many(150)
@given(body=BODIES, content=st.sampled_from(CONTENTS), kind=st.sampled_from(["Node", "Pod"]))
def test_every_body_gets_a_response_or_an_api_error(server: ApiServer, body: Any, content: str, kind: str) -> None:
    collection = "/api/v1/nodes" if kind == "Node" else "/api/v1/namespaces/default/pods"
    whole = {"apiVersion": "v1", "kind": kind, **body}
    for method, url in (
        ("POST", collection),
        ("PUT", f"{collection}/x"),
        ("PATCH", f"{collection}/x?fieldManager=m"),
    ):
        assert status_of(server, method, url, whole, content) in (200, 201, 400, 404, 409, 415, 422)
    table = json.loads(ask(server, "GET", collection, accept="application/json;as=Table;v=v1;g=meta.k8s.io").body)
    assert table["kind"] == "Table"


def test_quantities_that_are_numbers_are_stored_and_owned_as_strings(server: ApiServer) -> None:
    def config(quantity: Any) -> Any:
        return {"apiVersion": "v1", "kind": "Node", "status": {"capacity": {"nvidia.com/gpu": quantity}}}

    url, form = "/api/v1/nodes/x/status?fieldManager=", "application/apply-patch+yaml"
    first = json.loads(ask(server, "PATCH", f"{url}a", config(8), form).body)
    assert first["status"]["capacity"]["nvidia.com/gpu"] == "8"
    assert ask(server, "PATCH", f"{url}b", config("8"), form).status == 200


def test_a_dry_run_is_refused(server: ApiServer) -> None:
    with pytest.raises(ApiError, match="dryRun is not supported") as refused:
        ask(server, "DELETE", "/api/v1/nodes/x?dryRun=All", {})
    assert refused.value.status == 400
    assert ask(server, "GET", "/api/v1/nodes/x").status == 200


def test_a_response_is_always_json(server: ApiServer) -> None:
    with pytest.raises(ApiError) as refused:
        ask(server, "GET", "/api/v1/nodes", accept="application/vnd.kubernetes.protobuf")
    assert refused.value.status == 406
    assert (
        ask(server, "GET", "/api/v1/nodes", accept="application/vnd.kubernetes.protobuf,application/json").status == 200
    )


def test_every_discovery_document_is_served(server: ApiServer) -> None:
    index = json.loads(ask(server, "GET", "/openapi/v3").body)["paths"]
    for entry in index.values():
        assert ask(server, "GET", entry["serverRelativeURL"]).status == 200
    for group in json.loads(ask(server, "GET", "/apis").body)["groups"]:
        path = f"/apis/{group['preferredVersion']['groupVersion']}"
        assert json.loads(ask(server, "GET", path).body)["kind"] == "APIResourceList"
