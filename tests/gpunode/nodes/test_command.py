"""`gpunode nodes` as a person runs it."""

import csv
import io
import json

import pytest
import yaml

from gpunode.cluster import claims, holders, lists
from gpunode.nodes import fleet_list
from node_core.errors import KubeError
from simulation.apiserver import ApiServer
from tests.conftest import Golden
from tests.gpunode.nodes.conftest import Run
from tests.gpunode.recorded import load_cluster
from tests.gpunode.verbs import run_verb, without_styles

PRODUCTS = (
    "None of the 8 Nodes with GPUs has a product with 'B200' and has a problem. Products: NVIDIA-A100-SXM4-40GB,"
    " NVIDIA-A100-SXM4-40GB-MIG-1g.5gb, NVIDIA-H100-80GB-HBM3, NVIDIA-L40S, Tesla-T4, Tesla-T4-SHARED.\n"
)
SLICES = "/apis/resource.k8s.io/v1/resourceslices"
CLAIMS = "/apis/resource.k8s.io/v1/resourceclaims"
HOSTILE = "a\x1b[2Jb\nc"


@pytest.mark.golden
@pytest.mark.parametrize("columns", [None, 100, 40], ids=["pipe", "100 columns", "40 columns"])
@pytest.mark.parametrize("cluster", ["dra", "drivers", "h100", "mig", "mixed"])
def test_the_table_is_the_golden_file(
    server: ApiServer, run: Run, golden: Golden, cluster: str, columns: int | None
) -> None:
    load_cluster(server, cluster)
    result = run("nodes", columns=columns)
    assert (result.exit_code, result.stderr) == (0, "")
    golden(f"gpunode/nodes-{cluster}-{columns or 'pipe'}.txt", without_styles(result.stdout))


@pytest.mark.usefixtures("mixed")
@pytest.mark.golden
@pytest.mark.parametrize("output", ["wide", "json", "csv"])
def test_the_format_is_the_golden_file(run: Run, golden: Golden, output: str) -> None:
    result = run("nodes", "-o", output)
    assert (result.exit_code, result.stderr) == (0, "")
    golden(f"gpunode/nodes-mixed-{output}.txt", result.stdout)


@pytest.mark.usefixtures("mixed")
def test_yaml_has_the_same_document_as_json(run: Run) -> None:
    assert yaml.safe_load(run("nodes", "-o", "yaml").stdout) == json.loads(run("nodes", "-o", "json").stdout)


@pytest.mark.usefixtures("mixed")
@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("--product", "h100"), "gpu-h100-1 gpu-h100-2 gpu-h100-3"),
        (("--product", "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb"), "gpu-a100-2"),
        (("--free", "5"), "gpu-a100-1 gpu-a100-2 gpu-h100-2"),
        (("--free", "2", "--resource", "nvidia.com/mig-3g.20gb"), "gpu-a100-1"),
        (("--resource", "gpu.shared"), "gpu-t4-1"),
        (("--unhealthy",), "gpu-h100-2 gpu-h100-3 gpu-l40s-1 gpu-t4-2"),
        (("-l", "kubernetes.io/hostname in (gpu-t4-1,cpu-1)"), "gpu-t4-1"),
        (("-l", "kubernetes.io/hostname in (gpu-t4-1,cpu-1)", "--all"), "cpu-1 gpu-t4-1"),
        (("--product", "H100", "--sort", "free"), "gpu-h100-3 gpu-h100-2 gpu-h100-1"),
    ],
)
def test_nodes_are_selected_and_sorted(run: Run, arguments: tuple[str, ...], names: str) -> None:
    lines = run("nodes", *arguments, "-o", "name").stdout.split()
    assert lines == [f"node/{name}" for name in names.split()]


@pytest.mark.usefixtures("mixed")
def test_the_numbers_are_those_of_the_resource(run: Run) -> None:
    (row,) = csv.DictReader(io.StringIO(run("nodes", "--resource", "mig-3g.20gb", "-o", "csv").stdout))
    assert (row["allocatable"], row["allocated"], row["free"]) == ("4", "1", "3")


@pytest.mark.usefixtures("mixed")
@pytest.mark.parametrize(
    ("arguments", "explanation"),
    [
        (
            ("--product", "B200", "--unhealthy"),
            PRODUCTS,
        ),
        (("--free", "99"), "None of the 8 Nodes with GPUs gets pods and has 99 free devices of one resource.\n"),
        (
            ("--resource", "mig-1g5gb"),
            "None of the 8 Nodes with GPUs has the resource mig-1g5gb (did you mean nvidia.com/mig-1g.5gb?).\n",
        ),
        (("-l", "a=b"), "No Node matches a=b.\n"),
        (("-l", "kubernetes.io/hostname=cpu-1"), "None of the 1 Nodes has NVIDIA GPUs. --all shows them.\n"),
    ],
)
def test_a_table_without_rows_is_explained(run: Run, arguments: tuple[str, ...], explanation: str) -> None:
    result = run("nodes", *arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", explanation)


def test_a_cluster_without_nodes(run: Run) -> None:
    assert run("nodes").stderr == "The cluster has no Nodes.\n"
    assert json.loads(run("nodes", "-o", "json").stdout) == {"nodes": []}


def test_no_headers_omits_header_and_totals(server: ApiServer, run: Run) -> None:
    load_cluster(server, "h100")
    lines = run("nodes", "--no-headers").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["gpu-h100-1", "gpu-h100-2"]
    assert run("nodes", "--no-headers", "-o", "csv").stdout.startswith("gpu-h100-1,")


def test_many_nodes_are_shown_in_their_order_with_the_pods_of_each(
    mixed: ApiServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run("nodes").stdout
    monkeypatch.setattr(lists, "PAGE", 3)
    monkeypatch.setattr(holders, "FEW_PODS", 5)
    monkeypatch.setattr(fleet_list, "CHUNK", 2)
    mixed.forget_requests()
    assert [line.split() for line in run("nodes").stdout.splitlines()] == [
        line.split() for line in expected.splitlines()
    ]
    of_nodes, of_count = 8, 1
    assert mixed.requests[("list", "/api/v1/pods")] == of_nodes + of_count


def test_the_stage_of_a_driver_needs_no_other_request(
    server: ApiServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_cluster(server, "drivers")
    server.forget_requests()
    expected = run("nodes", "--unhealthy").stdout
    assert server.requests == {("list", "/api/v1/nodes"): 1, ("list", "/api/v1/pods"): 2, ("list", SLICES): 1}
    assert "CrashLoopBackOff" not in expected
    assert "no driver: DriverFails: " in expected
    monkeypatch.setattr(holders, "FEW_PODS", 1)
    assert run("nodes", "--unhealthy").stdout == expected


def test_control_characters_never_reach_the_terminal(server: ApiServer, run: Run) -> None:
    node = {
        "metadata": {
            "name": "a",
            "labels": {
                "nvidia.com/gpu.present": "true",
                "nvidia.com/gpu.product": HOSTILE,
                "nvidia.com/mig-\x1b.count": "1",
            },
        },
        "spec": {"taints": [{"key": HOSTILE, "effect": "NoSchedule"}]},
        "status": {
            "capacity": {"nvidia.com/\x1b]0;": "1"},
            "conditions": [{"type": "GPUReady", "status": "False", "reason": HOSTILE, "message": HOSTILE}],
        },
    }
    server.store.create("nodes", node)
    for arguments in ((), ("-o", "wide"), ("-o", "csv"), ("-o", "json"), ("-o", "yaml"), ("-o", "name")):
        for columns in (None, 40):
            text = without_styles(run("nodes", *arguments, columns=columns).stdout)
            assert not [letter for letter in text if not letter.isprintable() and letter != "\n"], arguments


def test_a_missing_right_is_named(mixed: ApiServer, run: Run) -> None:
    mixed.fail_next(1, 403)
    result = run("nodes")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("gpunode nodes: you are not permitted to list pods: ")
    assert "the ClusterRole gpunode-viewer" in result.stderr


def test_a_cluster_that_does_not_answer_is_an_error(run: Run, server: ApiServer) -> None:
    server.stop()
    result = run("nodes")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "the API server does not respond: connection refused" in result.stderr


def test_without_a_cluster_the_error_says_how_to_name_one(tmp_path: object) -> None:
    result = run_verb("nodes", environment={"HOME": str(tmp_path)})
    assert result.exit_code == 1
    assert "set --kubeconfig FILE or KUBECONFIG" in result.stderr


@pytest.fixture
def dra(server: ApiServer) -> ApiServer:
    load_cluster(server, "dra")
    server.forget_requests()
    return server


def test_resource_slices_and_claims_are_listed_once_and_only_for_gpus_that_the_kubelet_does_not_have(
    dra: ApiServer, run: Run
) -> None:
    run("nodes")
    assert (dra.requests[("list", SLICES)], dra.requests[("list", CLAIMS)]) == (1, 1)
    dra.forget_requests()
    run("nodes", "-l", "kubernetes.io/hostname=plugin-1")
    assert dra.requests == {("list", "/api/v1/nodes"): 1, ("list", "/api/v1/pods"): 2}


@pytest.mark.usefixtures("dra")
@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("--free", "1"), "dra-1 dra-2"),
        (("--free", "2"), ""),
        (("--free", "1", "--resource", "mig.nvidia.com"), "dra-2"),
        (("--resource", "gpu.nvidia.com"), "dra-1 dra-2"),
        (("--product", "a100"), "dra-2"),
        (("--unhealthy",), "dra-1 dra-2 silent-1"),
    ],
)
def test_nodes_are_selected_by_their_devices_in_resource_slices(
    run: Run, arguments: tuple[str, ...], names: str
) -> None:
    assert run("nodes", *arguments, "-o", "name").stdout.split() == [f"node/{name}" for name in names.split()]


@pytest.mark.usefixtures("dra")
def test_the_pods_of_claims_are_holders(run: Run) -> None:
    nodes = {node["name"]: node for node in json.loads(run("nodes", "-o", "json").stdout)["nodes"]}
    held = {holder["name"]: holder["resources"] for name in ("dra-1", "dra-2") for holder in nodes[name]["holders"]}
    gpu, mig = {"gpu.nvidia.com": 1}, {"mig.nvidia.com": 1}
    assert held == {
        "train": {"gpu.nvidia.com": 2},
        "web-a": gpu,
        "web-b": gpu,
        "old-style": gpu,
        "slice-a": mig,
        "slice-b": mig,
    }
    assert nodes["plugin-1"]["holders"][0]["resources"] == {"nvidia.com/gpu": 1}


@pytest.mark.usefixtures("dra")
def test_without_the_right_to_list_resource_slices_the_other_facts_are_shown(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise KubeError("you are not permitted to list resourceslices", status=403)

    monkeypatch.setattr(claims, "read_resource_version", refuse)
    result = run("nodes", "-o", "csv")
    assert result.exit_code == 0
    problems = {row["name"]: row["problems"] for row in csv.DictReader(io.StringIO(result.stdout))}
    assert problems["plugin-1"] == ""
    assert problems["dra-1"].endswith(
        "ResourceSlices or ResourceClaims were not read: you are not permitted to list resourceslices"
    )


@pytest.mark.usefixtures("dra")
@pytest.mark.parametrize("served", [[], ["v1alpha3"]])
def test_a_cluster_without_dynamic_resource_allocation_has_no_devices_by_claims(
    run: Run, monkeypatch: pytest.MonkeyPatch, served: list[str]
) -> None:
    def read(*_: object) -> None:
        raise KubeError(f"the API server has resource.k8s.io in {served} only", status=404)

    monkeypatch.setattr(claims, "read_resource_version", read)
    result = run("nodes", "-o", "csv")
    problems = {row["name"]: row["problems"] for row in csv.DictReader(io.StringIO(result.stdout))}
    assert problems["dra-2"] == problems["silent-1"] == "the Node has GPUs, but no GPU resources"
