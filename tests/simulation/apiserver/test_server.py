"""The simulated API server over HTTPS, with the official client and with requests that the client does not send."""

import http.client
import json
import ssl
import stat
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from simulation.apiserver import ApiServer

NODE = "/api/v1/nodes/n1"
NODE_FEATURE = "/apis/nfd.k8s-sigs.io/v1alpha1/namespaces/default/nodefeatures/x"


class Wire:
    """Sends each HTTPS request on a new connection."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._context = ssl.create_default_context(cadata=server.certificate)

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        status, _, response = self.raw(method, path, body, **headers)
        return status, json.loads(response)

    def raw(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, bytes]:
        """headers: with _ in place of -. A body that is not bytes is sent as JSON."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent.setdefault("Authorization", f"Bearer {self._server.token}")
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        port = int(self._server.url.rpartition(":")[2])
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=self._context, timeout=30)
        try:
            connection.request(method, path, data, sent)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()


@pytest.fixture
def wire(server: ApiServer) -> Wire:
    return Wire(server)


def apply(wire: Wire, labels: Any, manager: str = "gfd", force: str = "false") -> tuple[int, Any]:
    body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": labels}}
    query = f"?fieldManager={manager}&force={force}"
    return wire("PATCH", NODE + query, body, Content_Type="application/apply-patch+yaml")


def test_responses_state_that_the_server_is_simulated(wire: Wire) -> None:
    _, headers, body = wire.raw("GET", "/version")
    assert json.loads(body)["gitVersion"] == "v1.34.0+gpunode-simulated"
    assert headers["X-Gpunode-Simulated"] == "simulated kube-apiserver"


def test_the_official_client_reads_a_node(api: Any) -> None:
    node = api.read_node("n1")
    assert node.metadata.labels["kubernetes.io/hostname"] == "n1"
    assert node.status.capacity.keys() == {"cpu", "memory", "pods"}
    assert [each.status for each in node.status.conditions if each.type == "Ready"] == ["True"]
    assert [each.metadata.name for each in api.list_node(label_selector="gpu=yes").items] == ["n1"]
    assert api.list_node(field_selector="metadata.name=other").items == []


def test_the_official_client_creates_patches_and_deletes(api: Any) -> None:
    event = client.CoreV1Event(
        metadata=client.V1ObjectMeta(generate_name="n1."),
        involved_object=client.V1ObjectReference(kind="Node", name="n1"),
        reason="GpuLost",
        type="Warning",
        message="gone",
    )
    made = api.create_namespaced_event("default", event)
    assert made.metadata.name.startswith("n1.")
    assert api.list_namespaced_event("default", field_selector="involvedObject.name=n1").items[0].reason == "GpuLost"
    assert api.patch_node("n1", {"metadata": {"labels": {"a": "b"}}}).metadata.labels["a"] == "b"
    assert (
        api.patch_node_status("n1", {"status": {"capacity": {"nvidia.com/gpu": "8"}}}).status.capacity["nvidia.com/gpu"]
        == "8"
    )
    api.delete_namespaced_event(made.metadata.name, "default")
    assert api.list_namespaced_event("default").items == []


def test_an_apply_owns_fields_has_conflicts_and_removes_fields(wire: Wire) -> None:
    status, node = apply(wire, {"nvidia.com/gpu.count": "8"})
    assert (status, node["metadata"]["labels"]["nvidia.com/gpu.count"]) == (200, "8")
    status, refusal = apply(wire, {"nvidia.com/gpu.count": "4"}, "other")
    assert (status, refusal["message"]) == (
        409,
        'Apply failed with 1 conflict: conflict with "gfd": .metadata.labels.nvidia.com/gpu.count',
    )
    assert apply(wire, {"nvidia.com/gpu.count": "4"}, "other", "true")[0] == 200
    _, node = apply(wire, {}, "other")
    assert "nvidia.com/gpu.count" not in node["metadata"]["labels"]
    assert node["metadata"]["labels"]["gpu"] == "yes"


def test_an_apply_accepts_yaml_and_creates_a_missing_object(wire: Wire) -> None:
    path = "/api/v1/namespaces/default/configmaps/c?fieldManager=me"
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {day: 2026-01-01}\n"
    headers = {"Content_Type": "application/apply-patch+yaml"}
    assert wire("PATCH", path, body, **headers)[0] == 201
    status, config = wire("PATCH", path, body, **headers)
    assert (status, config["data"]) == (200, {"day": "2026-01-01"})


def test_an_apply_without_a_change_retains_the_version(wire: Wire) -> None:
    first, second = (apply(wire, {"a": "1"})[1]["metadata"]["resourceVersion"] for _ in range(2))
    assert first == second


def test_a_json_patch_can_test_the_version(wire: Wire) -> None:
    version = wire("GET", NODE)[1]["metadata"]["resourceVersion"]
    taints = [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}]
    patch = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "add", "path": "/spec/taints", "value": taints},
    ]
    headers = {"Content_Type": "application/json-patch+json"}
    status, node = wire("PATCH", NODE, patch, **headers)
    assert (status, node["spec"]["taints"]) == (200, taints)
    status, refusal = wire("PATCH", NODE, patch, **headers)
    assert (status, refusal["reason"]) == (422, "Invalid")
    assert refusal["message"] == "the server rejected our request due to an error in our request"


def test_a_stale_put_or_merge_patch_is_a_conflict(wire: Wire) -> None:
    old = wire("GET", NODE)[1]
    apply(wire, {"a": "1"})
    assert wire("PUT", NODE, old)[0] == 409
    body = {"metadata": {"resourceVersion": old["metadata"]["resourceVersion"], "labels": {"x": "y"}}}
    assert wire("PATCH", NODE, body, Content_Type="application/merge-patch+json")[0] == 409


def test_writes_are_owned_by_the_field_manager_or_the_user_agent(wire: Wire) -> None:
    headers = {"Content_Type": "application/merge-patch+json", "User_Agent": "kubectl/v1.32 (linux)"}
    wire("PATCH", NODE, {"metadata": {"labels": {"a": "1"}}}, **headers)
    _, node = wire("PATCH", f"{NODE}?fieldManager=kubectl-label", {"metadata": {"labels": {"b": "1"}}}, **headers)
    updates = {
        each["manager"]: each["fieldsV1"] for each in node["metadata"]["managedFields"] if each["operation"] == "Update"
    }
    assert updates["kubectl"] == {"f:metadata": {"f:labels": {"f:a": {}}}}
    assert updates["kubectl-label"] == {"f:metadata": {"f:labels": {"f:b": {}}}}


def test_only_the_status_path_writes_the_status(wire: Wire) -> None:
    patch: Any = {"spec": {"unschedulable": True}, "status": {"capacity": {"nvidia.com/gpu": "8"}}}
    headers = {"Content_Type": "application/merge-patch+json"}
    _, node = wire("PATCH", f"{NODE}/status", patch, **headers)
    assert ("unschedulable" in node["spec"], node["status"]["capacity"]["nvidia.com/gpu"]) == (False, "8")
    assert node["metadata"]["managedFields"][-1]["subresource"] == "status"
    patch["status"]["capacity"]["nvidia.com/gpu"] = "0"
    _, node = wire("PATCH", NODE, patch, **headers)
    assert (node["spec"]["unschedulable"], node["status"]["capacity"]["nvidia.com/gpu"]) == (True, "8")


@pytest.mark.parametrize(
    ("method", "path", "body", "content", "status"),
    [
        ("GET", "/api/v1/nodes/none", None, "", 404),
        ("GET", "/apis/apps/v1/unknown", None, "", 404),
        ("POST", "/api/v1/nodes", {"metadata": {"name": "n1"}}, "application/json", 409),
        ("POST", "/api/v1/nodes", {"metadata": {"name": "Bad"}}, "application/json", 422),
        ("POST", "/api/v1/nodes", {"kind": "Pod", "metadata": {"name": "x"}}, "application/json", 400),
        ("POST", "/api/v1/nodes", {"metadata": {"name": 5}}, "application/json", 400),
        (
            "POST",
            "/api/v1/namespaces/default/pods",
            {"metadata": {"name": "x"}, "spec": {"tolerations": ["a"]}},
            "",
            400,
        ),
        ("POST", "/api/v1/nodes", b"{", "application/json", 400),
        ("POST", "/api/v1/nodes", b'{"a": NaN}', "application/json", 400),
        ("POST", "/api/v1/nodes", b"\xff\xfe", "application/json", 400),
        ("POST", "/api/v1/nodes", b"[" * 100_000, "application/json", 400),
        ("POST", "/api/v1/nodes", b"x", "application/vnd.kubernetes.protobuf", 415),
        ("POST", "/api/v1/namespaces/nope/configmaps", {"metadata": {"name": "x"}}, "application/json", 404),
        ("POST", "/api/v1/nodes/n1", {}, "application/json", 405),
        ("PATCH", NODE, b"{", "application/merge-patch+json", 400),
        ("PATCH", NODE, [], "application/merge-patch+json", 400),
        ("PATCH", NODE, {"metadata": None}, "application/merge-patch+json", 422),
        ("PATCH", NODE, {"metadata": {"labels": {"a": 1}}}, "application/merge-patch+json", 422),
        ("PATCH", NODE, {"metadata": {"labels": {"a b": "1"}}}, "application/strategic-merge-patch+json", 422),
        ("PATCH", NODE, {}, "text/plain", 415),
        ("PATCH", NODE_FEATURE, {}, "application/strategic-merge-patch+json", 415),
        ("PATCH", NODE, {}, "application/apply-patch+yaml", 422),
        ("PATCH", f"{NODE}?fieldManager=a", b"a: [", "application/apply-patch+yaml", 400),
        ("PATCH", f"{NODE}?fieldManager=a", b"!!python/object:os.system {}", "application/apply-patch+yaml", 400),
        ("PATCH", f"{NODE}?fieldManager=a", {"kind": "Node"}, "application/apply-patch+yaml", 400),
        ("PATCH", f"{NODE}?force=true", {}, "application/merge-patch+json", 400),
        ("GET", "/api/v1/nodes?labelSelector=a%20b", None, "", 400),
        ("GET", "/api/v1/nodes?fieldSelector=spec.x%3D1", None, "", 400),
        ("GET", "/api/v1/nodes?watch=1&resourceVersion=x", None, "", 400),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_bad_request_gets_a_status_object_and_the_server_continues(
    wire: Wire, method: str, path: str, body: Any, content: str, status: int
) -> None:
    code, response = wire(method, path, body, **({"Content_Type": content} if content else {}))
    assert (code, response["kind"], response["code"]) == (status, "Status", status)
    assert wire("GET", NODE)[0] == 200


def test_a_body_that_is_too_large_is_refused(wire: Wire) -> None:
    status, response = wire("POST", "/api/v1/nodes", b" " * (3 * 2**20 + 1))
    assert (status, response["reason"]) == (413, "RequestEntityTooLarge")


@pytest.mark.parametrize("value", ["", "Bearer wrong", "Basic Z3B1OmdwdQ=="])
def test_without_a_valid_token_only_health_and_version_are_served(wire: Wire, value: str) -> None:
    assert wire("GET", NODE, Authorization=value)[0] == 401
    assert wire("GET", "/api/v1", Authorization=value)[0] == 401
    assert wire("GET", "/version", Authorization=value)[0] == 200
    assert [wire.raw("GET", path, Authorization=value)[2] for path in ("/healthz", "/livez", "/readyz")] == [b"ok"] * 3


def test_tokens_can_be_rejected_and_accepted() -> None:
    with ApiServer(tokens={"agent-token": "agent"}) as server:
        wire = Wire(server)
        assert wire("GET", "/api/v1/nodes", Authorization="Bearer agent-token")[0] == 200
        server.reject_token("agent-token")
        assert wire("GET", "/api/v1/nodes", Authorization="Bearer agent-token")[0] == 401
        server.accept_token("agent-token", "agent")
        assert wire("GET", "/api/v1/nodes", Authorization="Bearer agent-token")[0] == 200


def test_a_simulated_failure_has_no_effect_on_objects(server: ApiServer, wire: Wire) -> None:
    server.fail_next(2, status=503)
    assert [apply(wire, {"a": "1"})[0] for _ in range(3)] == [503, 503, 200]
    assert wire.raw("GET", "/healthz")[0] == 200


def test_requests_are_counted_by_verb_and_path(server: ApiServer, wire: Wire) -> None:
    wire("GET", NODE)
    apply(wire, {"a": "1"})
    assert server.requests == {("get", "/api/v1/nodes/{name}"): 1, ("patch", "/api/v1/nodes/{name}"): 1}
    assert server.writes == 1


def test_objects_port_and_certificate_remain_after_an_outage(server: ApiServer, api: Any, wire: Wire) -> None:
    apply(wire, {"a": "1"})
    url = server.url
    api.read_node("n1")
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        wire("GET", NODE)
    server.start()
    assert server.url == url
    assert wire("GET", NODE)[1]["metadata"]["labels"]["a"] == "1"
    assert api.read_node("n1").metadata.labels["a"] == "1"


def test_only_the_owner_can_read_the_kubeconfig(server: ApiServer, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text("old")
    path.chmod(0o666)
    server.write_kubeconfig(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == server.kubeconfig()


def test_a_client_without_tls_does_not_affect_other_clients(server: ApiServer, wire: Wire) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", int(server.url.rpartition(":")[2]), timeout=60)
    connection.connect()
    connection.sock.sendall(b"GET /version HTTP/1.1\r\n\r\n")
    with pytest.raises((OSError, http.client.HTTPException)):
        http.client.HTTPResponse(connection.sock).begin()
    connection.close()
    assert wire("GET", NODE)[0] == 200


def test_a_deletion_checks_preconditions_and_a_deleted_namespace_removes_its_objects(wire: Wire) -> None:
    wire("POST", "/api/v1/namespaces", {"metadata": {"name": "x"}})
    assert wire("POST", "/api/v1/namespaces/x/configmaps", {"metadata": {"name": "c"}, "data": {}})[0] == 201
    assert wire("DELETE", "/api/v1/namespaces/x/configmaps/c", {"preconditions": {"uid": "other"}})[0] == 409
    assert wire("DELETE", "/api/v1/namespaces/x")[0] == 200
    assert wire("GET", "/api/v1/configmaps")[1]["items"] == []


def test_a_node_can_be_added_again_while_its_lease_remains() -> None:
    with ApiServer() as running:
        running.add_node("again")
        running.store.delete("nodes", "again")
        running.add_node("again")
        assert running.store.get("nodes", "again")["metadata"]["name"] == "again"
