"""The use of devices from the metrics of gpu-exporter."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpunode.cluster.connection import connect
from gpunode.cluster.metrics import parse_samples
from gpunode.top.remote import RemoteReader, select_use
from gpunode.top.use import DeviceUse
from node_core.errors import KubeError, NodeError
from node_core.kube.http import ApiClient
from simulation.apiserver import ApiServer

GPU = 'gpu="0",UUID="GPU-1",pci_bus_id="00000000:0F:00.0",device="nvidia0",modelName="NVIDIA H100",Hostname="n1"'
MIG = f'{GPU},GPU_I_PROFILE="1g.10gb",GPU_I_ID="9"'
POD = 'container="main",namespace="team",pod="{}"'
METRICS = f"""
# TYPE DCGM_FI_DEV_GPU_UTIL gauge
DCGM_FI_DEV_GPU_UTIL{{{GPU},{POD.format("a")}}} 93
DCGM_FI_DEV_FB_USED{{{GPU},{POD.format("a")}}} 61440
DCGM_FI_DEV_FB_FREE{{{GPU},{POD.format("a")}}} 20480
DCGM_FI_DEV_POWER_USAGE{{{GPU},{POD.format("a")}}} 612.4
DCGM_FI_DEV_GPU_TEMP{{{GPU},{POD.format("a")}}} 71
DCGM_FI_DEV_FB_USED{{{MIG}}} 512
gpunode_pod_gpu_info{{{MIG},{POD.format("b")}}} 1
gpunode_pod_gpu_info{{{MIG},{POD.format("c")}}} 1
gpunode_pod_gpu_info{{gpu="7",UUID="GPU-8",{POD.format("d")}}} 1
other_metric 5
"""


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as running:
        for name in ("n1", "n2"):
            running.add_node(name, labels={"team": name})
            content = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": f"exporter-{name}", "namespace": "gpunode", "labels": {"app.kubernetes.io/name": "gpu-exporter"}},
                "spec": {"nodeName": name, "containers": []},
                "status": {"phase": "Running"},
            }  # fmt: skip
            running.store.create("pods", content)
        yield running


@pytest.fixture
def api(server: ApiServer, tmp_path: Path) -> ApiClient:
    server.write_kubeconfig(tmp_path / "kubeconfig")
    return connect(str(tmp_path / "kubeconfig")).api


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Node -> its metrics, or the error of the request. The simulated API server has no pods/proxy."""
    found: dict[str, Any] = {}

    def read(_: RemoteReader, pod: Any) -> str:
        result = found[pod.spec.node_name]
        if isinstance(result, Exception):
            raise result
        return str(result)

    monkeypatch.setattr(RemoteReader, "_read_metrics", read)
    return found


def test_the_metrics_of_one_node() -> None:
    assert select_use("n1", parse_samples(METRICS)) == (
        DeviceUse(
            node="n1",
            device="GPU 0",
            model="NVIDIA H100",
            utilization=93,
            memory_used_mib=61440,
            memory_total_mib=81920,
            power=612.4,
            temperature=71,
            pods=("team/a",),
        ),
        DeviceUse(
            node="n1",
            device="GPU 0 GI 9",
            model="NVIDIA H100",
            profile="1g.10gb",
            memory_used_mib=512,
            pods=("team/b", "team/c"),
        ),
    )


@pytest.mark.parametrize(
    ("options", "nodes"),
    [({}, ["n1", "n2"]), ({"node": "n2"}, ["n2"]), ({"selector": "team=n1"}, ["n1"])],
    ids=["all", "node", "selector"],
)
def test_the_selected_nodes_are_read(
    api: ApiClient, answers: dict[str, Any], options: dict[str, Any], nodes: list[str]
) -> None:
    answers |= {"n1": METRICS, "n2": METRICS}
    uses = RemoteReader(api, **options).read()
    assert list(dict.fromkeys(use.node for use in uses)) == nodes


def test_a_node_that_cannot_be_read_does_not_hide_the_others(api: ApiClient, answers: dict[str, Any]) -> None:
    answers |= {"n1": KubeError("no response"), "n2": METRICS}
    reader = RemoteReader(api)
    assert {use.node for use in reader.read()} == {"n2"}
    assert reader.notes == ("n1: the metrics of gpu-exporter cannot be read: no response.",)


def test_other_content_is_reported(api: ApiClient, answers: dict[str, Any]) -> None:
    answers |= {"n1": "<html>", "n2": METRICS}
    reader = RemoteReader(api)
    reader.read()
    assert reader.notes[0].startswith(
        "n1: the metrics of gpu-exporter cannot be read: it is not in the format of Prometheus"
    )


def test_the_missing_right_is_named(api: ApiClient, answers: dict[str, Any]) -> None:
    answers |= {"n1": KubeError("forbidden", status=403), "n2": KubeError("forbidden", status=403)}
    with pytest.raises(
        NodeError,
        match=r"pods/proxy in the namespace gpunode, .* gpunode-viewer does not include this right",
    ):
        RemoteReader(api).read()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"node": "n3"}, r"gpu-exporter does not run on the Node n3 \(install it"),
        ({"selector": "team=n3"}, "gpu-exporter does not run on the selected nodes"),
        ({"node": "n33"}, r"the cluster has no Node n33 \(did you mean n3\?\)"),
        ({"node": "n1,metadata.name=x"}, "the cluster has no Node n1,metadata.name=x"),
        ({"node": "other"}, r"the cluster has no Node other \(gpunode nodes --all shows all Nodes\)"),
        ({"selector": "team=x"}, "no Node has the labels team=x"),
    ],
)
def test_without_gpu_exporter_there_is_nothing_to_read(
    server: ApiServer, api: ApiClient, options: dict[str, Any], message: str
) -> None:
    server.add_node("n3", labels={"team": "n3"})
    with pytest.raises(NodeError, match=message):
        RemoteReader(api, **options).read()
