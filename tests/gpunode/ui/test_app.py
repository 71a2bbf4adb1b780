"""The HTTP interface of the page."""

import json
from typing import Any

import pytest
import urllib3

from tests.conftest import Golden
from tests.gpunode.recorded import read_cluster, store_objects
from tests.gpunode.ui.conftest import SECRET, Page

XID = {"type": "GPUReady", "status": "False", "reason": "AllGPUsUnhealthy", "message": "<b>0\x1b[2J</b>"}


def change_condition(page: Page, name: str, condition: dict[str, str]) -> None:
    def change(node: dict[str, Any]) -> dict[str, Any]:
        others = [each for each in node["status"]["conditions"] if each["type"] != condition["type"]]
        return {**node, "status": {**node["status"], "conditions": [*others, condition]}}

    page.cluster.store.mutate("nodes", name, change)


@pytest.mark.parametrize("path", ["/", "/app.js", "/api/fleet", "/api/nodes/gpu-h100-1", "/api/changes"])
@pytest.mark.parametrize("cookie", [None, "", "wrong"])
def test_nothing_is_readable_without_the_secret(page: Page, path: str, cookie: str | None) -> None:
    response = page.get(path, cookie=cookie)
    assert response.status == 403
    assert b"Open the link that `gpunode ui` printed" in response.data


def test_the_link_sets_the_cookie_and_removes_the_secret_from_the_address(page: Page) -> None:
    response = page.get(f"/?token={SECRET}", cookie=None)
    assert (response.status, response.headers["Location"]) == (303, "/")
    assert response.headers["Set-Cookie"].startswith(f"gpunode={SECRET}; HttpOnly;")
    assert "SameSite=strict" in response.headers["Set-Cookie"]


def test_a_page_of_another_site_cannot_read_anything(page: Page) -> None:
    """A name of an attacker that resolves to this machine: DNS rebinding."""
    assert page.get("/api/fleet", Host="attacker.example").status == 400


@pytest.mark.parametrize("path", ["/", "/app.js", "/style.css"])
def test_static_files_load_nothing_from_elsewhere(page: Page, path: str) -> None:
    response = page.get(path)
    assert response.status == 200
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    text = response.data.decode().replace("http://www.w3.org/2000/svg", "")
    assert "http:" not in text
    assert "https:" not in text
    assert "innerHTML" not in text


@pytest.mark.golden
def test_the_documents_of_the_fleet_and_of_a_node(page: Page, golden: Golden) -> None:
    fleet, node = page.document("/api/fleet"), page.document("/api/nodes/gpu-h100-2")
    fleet["cluster"] = "https://cluster"
    golden("gpunode/ui-fleet.json", json.dumps(fleet, indent=1) + "\n")
    golden("gpunode/ui-node.json", json.dumps(node, indent=1) + "\n")


def test_a_node_that_does_not_exist(page: Page) -> None:
    response = page.get("/api/nodes/missing")
    assert (response.status, response.json()) == (404, {"error": "there is no Node missing"})


@pytest.mark.parametrize("path", ["/missing", "/api/nodes", "/app.js/../../serve.py"])
def test_other_paths_do_not_exist(page: Page, path: str) -> None:
    assert page.get(path).status == 404


def test_other_methods_are_refused(page: Page) -> None:
    response = urllib3.request("POST", page.url + "/api/fleet", headers={"Cookie": f"gpunode={SECRET}"}, redirect=False)
    assert response.status == 405


def test_a_change_is_streamed_and_recorded(page: Page) -> None:
    stream = urllib3.PoolManager().request(
        "GET", page.url + "/api/changes", headers={"Cookie": f"gpunode={SECRET}"}, preload_content=False
    )
    lines = iter(stream.stream(1 << 16))
    first = next(lines)
    assert first.startswith(b"data: ")
    change_condition(page, "gpu-h100-1", XID)
    assert next(line for line in lines if line.startswith(b"data: ")) != first
    stream.close()
    page.until(lambda: len(page.document("/api/nodes/gpu-h100-1")["health"]) == 2)
    assert page.document("/api/nodes/gpu-h100-1")["health"][1] == {
        "at": "2027-01-15T08:00:00Z",
        "status": "False",
        "reason": "AllGPUsUnhealthy",
        "message": XID["message"],
    }


def test_the_last_nodes_remain_while_the_api_server_is_away(page: Page) -> None:
    page.cluster.stop()
    page.until(lambda: set(page.document("/api/fleet")["stale"]) >= {"nodes", "pods"})
    fleet = page.document("/api/fleet")
    assert "the API server does not respond" in fleet["stale"]["nodes"]
    assert len(fleet["nodes"]) == 8
    response = page.get("/api/nodes/gpu-h100-1")
    assert (response.status, list(response.json())) == (502, ["error"])
    page.cluster.start()
    page.until(lambda: not page.document("/api/fleet")["stale"])


def test_a_pod_and_its_requests(page: Page) -> None:
    pod = page.document("/api/pods/research/big-train-0")
    assert (pod["node"], pod["requests"], pod["events"]) == ("", "nvidia.com/gpu: 8", [])
    assert pod["summary"].startswith("0/10 nodes are available")
    assert "Did you mean NVIDIA-H100-80GB-HBM3?" in pod["why"]
    assert page.document("/api/pods/research/llama-eval-0")["why"] == ""
    assert page.get("/api/pods/research/missing").status == 404


def test_devices_of_claims_their_pods_and_pods_that_wait_for_claims(page: Page) -> None:
    store_objects(page.cluster, [each for each in read_cluster("dra") if each["metadata"]["name"] != "plugin-1"])
    page.until(lambda: {"team/shared", "team/slice-b"} <= page.feed.snapshot().claims.keys())
    page.until(lambda: "dra-2" in page.feed.snapshot().nodes)
    page.until(lambda: {"team/web-b", "team/wants-two"} <= page.feed.snapshot().pods.keys())
    page.until(lambda: len(page.feed.snapshot().slices) == 3)
    fleet, node = page.document("/api/fleet"), page.document("/api/nodes/dra-1")
    (summary,) = (each for each in fleet["nodes"] if each["name"] == "dra-1")
    assert {each["name"] for each in summary["holders"]} == {"train", "old-style", "web-a", "web-b"}
    shown = {each["name"]: each for each in node["claimDevices"]}
    assert (shown["gpu-2"]["claims"], shown["gpu-2"]["pods"]) == (["team/shared"], ["team/web-a", "team/web-b"])
    assert shown["gpu-4"]["taints"] == ["gpu.nvidia.com/xid=79:NoSchedule"]
    assert [each["name"] for each in page.document("/api/nodes/dra-2")["claimDevices"] if "-mig-" in each["name"]]
    (device,) = page.document("/api/pods/team/web-a")["claimDevices"]
    assert (device["name"], device["claims"]) == ("gpu-2", ["team/shared"])
    waiting = {each["name"]: each["requests"] for each in fleet["pending"]}
    assert waiting["wants-two"].startswith("claim: ")
    assert page.document("/api/nodes/gpu-h100-1")["claimDevices"] == []
