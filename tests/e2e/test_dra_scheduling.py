"""ResourceSlices on a real API server: what the driver's token may write, and what the scheduler allocates from the slices.

The Nodes have no kubelet, so the pods are scheduled and do not run.
"""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dra_driver.devices.collect import devices_of
from dra_driver.devices.model import Device, DeviceKind
from dra_driver.slices.api import SliceApi
from dra_driver.slices.features import SliceFeatures
from dra_driver.slices.plan import plan_slices
from dra_driver.slices.publisher import Pool, SlicePublisher
from dra_driver.slices.taints import DeviceTaint, TaintEffect
from gpu_core.mig.model import MigGpu
from gpu_core.nvml.inventory import read_inventory
from gpu_core.nvml.mig_reader import read_mig_gpus
from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.runtime.services import Services
from simulation.nvml.library import numa_of, simulated_nvml
from simulation.scenarios.scenario import load_scenario
from tests.e2e.cluster import Cluster, attach
from tests.e2e.tokens import NAMESPACE, add_pod, request_token, write_kubeconfig
from tests.gpu_core.mig.brute_force import is_possible

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

MANIFESTS = Path(__file__).parents[2] / "manifests"
NODE, OTHER = "dra-a", "dra-b"
AGENT = "gpu-dra-driver"
XID = DeviceTaint(key="gpu.nvidia.com/xid", value="79")
WAIT_S = 30.0
SLICES = "/apis/resource.k8s.io/v1/resourceslices"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    cluster = attach()
    assert cluster is not None, "no cluster is running: run `make e2e`, which starts a cluster and runs these tests"
    cluster.kubectl("apply", "-f", str(MANIFESTS / "base" / "namespace.yaml"))
    folder = MANIFESTS / "overlays" / "dra"
    cluster.kubectl("apply", "-f", str(folder / "account.yaml"))
    objects = [
        each for each in yaml.safe_load_all((folder / "gpu-dra-driver.yaml").read_text()) if each["kind"] != "DaemonSet"
    ]
    for each in objects:
        if each["metadata"]["name"] == "gpu.nvidia.com":
            each["spec"]["extendedResourceName"] = "nvidia.com/gpu"
    cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))
    for node in (NODE, OTHER):
        cluster.add_node(node, {"dra-test": node})
    cluster.kubectl("taint", "node", NODE, "node.kubernetes.io/not-ready-", check=False)
    add_pod(cluster, AGENT, NODE)
    yield cluster
    cluster.kubectl("delete", "pod", "-n", NAMESPACE, "--force", "--grace-period=0", f"{AGENT}-{NODE}")
    cluster.kubectl("delete", "nodes", NODE, OTHER)
    cluster.kubectl("delete", "-f", "-", stdin=yaml.safe_dump_all(objects))


@pytest.fixture(scope="module")
def api(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> NodeApi:
    """Sends requests with the token of the driver's Pod on NODE."""
    token = request_token(cluster, AGENT, "--bound-object-kind=Pod", f"--bound-object-name={AGENT}-{NODE}")
    kubeconfig = write_kubeconfig(cluster, tmp_path_factory.mktemp("dra") / AGENT, token)
    return NodeApi(NODE, kubeconfig=str(kubeconfig), user_agent="e2e")


@pytest.fixture(scope="module")
def node_devices() -> tuple[tuple[Device, ...], MigGpu]:
    """All devices of eight simulated H100, and the MIG profiles of one of them."""
    scenario = load_scenario("h100x8")
    open_nvml = simulated_nvml(scenario, lambda: 0.0)
    with open_nvml() as nvml:
        mig_gpus, _ = read_mig_gpus(nvml)
    inventory = read_inventory(open_nvml, numa_of(scenario))
    return devices_of(inventory, mig_gpus, has_dynamic_mig=True), mig_gpus[0]


@pytest.fixture
def publisher(api: NodeApi) -> Iterator[SlicePublisher]:
    publisher = SlicePublisher(SliceApi(api), Services())
    publisher.start()
    yield publisher
    publisher.desire(Pool(devices=()))
    until("no slices", lambda: not SliceApi(api).list("v1"))
    publisher.stop()


def until(what: str, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {WAIT_S:.0f} s for {what}"
        time.sleep(0.2)


def publish(publisher: SlicePublisher, pool: Pool) -> None:
    publisher.desire(pool)
    until("written slices", lambda: publisher.problem is None)


class Workload:
    """Pods and claims in their own namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self.namespace = cluster, namespace

    def apply(self, objects: list[dict[str, Any]]) -> None:
        for each in objects:
            if each["kind"] == "Pod":
                each["spec"]["tolerations"] = [{"operator": "Exists"}]
                each["spec"]["nodeSelector"] = {"dra-test": NODE}
        self._cluster.kubectl("apply", "-n", self.namespace, "-f", "-", stdin=yaml.safe_dump_all(objects))

    def example(self, file: str) -> None:
        self.apply(list(yaml.safe_load_all((MANIFESTS / "examples" / "dra" / file).read_text())))

    def allocated(self) -> list[list[str]]:
        """The devices of each allocated claim."""
        found = json.loads(self._cluster.kubectl("get", "resourceclaims", "-n", self.namespace, "-o", "json"))["items"]
        allocations = [each.get("status", {}).get("allocation") for each in found]
        return sorted([result["device"] for result in each["devices"]["results"]] for each in allocations if each)

    def is_deleted(self, pod: str) -> bool:
        """Whether somebody has deleted the pod. Without a kubelet, such a pod stays."""
        path = "jsonpath={.metadata.deletionTimestamp}"
        return bool(self._cluster.kubectl("get", "pod", pod, "-n", self.namespace, "--ignore-not-found", "-o", path))

    def unscheduled(self) -> list[str]:
        found = json.loads(self._cluster.kubectl("get", "pods", "-n", self.namespace, "-o", "json"))["items"]
        return [each["metadata"]["name"] for each in found if not each["spec"].get("nodeName")]


@pytest.fixture
def workload(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Workload]:
    namespace = f"dra-{abs(hash(request.node.name)) % 10**8}"
    cluster.kubectl("create", "namespace", namespace)
    yield Workload(cluster, namespace)
    cluster.kubectl("delete", "pods", "--all", "-n", namespace, "--force", "--grace-period=0")
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")
    until("deleted claims", lambda: not Workload(cluster, namespace).allocated())


def test_the_api_server_accepts_counters_in_their_own_slices_and_taints(api: NodeApi) -> None:
    until("the policy and the role", lambda: _is_discovered(api))
    assert SliceApi(api).discover() == SliceFeatures()


def _is_discovered(api: NodeApi) -> bool:
    try:
        return bool(SliceApi(api).discover())
    except KubeError:
        return False


def test_the_driver_may_write_only_slices_of_its_own_node(
    api: NodeApi, cluster: Cluster, node_devices: tuple[tuple[Device, ...], MigGpu]
) -> None:
    until("the policy and the role", lambda: _is_discovered(api))
    ((name, spec),) = plan_slices(node_devices[0][:1], {}, OTHER, SliceFeatures(has_counters=False)).items()
    pool = {**spec["pool"], "generation": 1}
    body = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {"name": name},
        "spec": {**spec, "pool": pool},
    }

    def refused() -> bool:
        try:
            api.request("POST", SLICES, body=body, content="application/json", query={"dryRun": "All"})
        except KubeError as error:
            return "its own Node" in str(error)
        return False

    until("the policy", refused)
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(body))
    with pytest.raises(KubeError, match="its own Node"):
        api.request("DELETE", f"{SLICES}/{name}")
    cluster.kubectl("delete", "resourceslice", name)


def test_each_example_is_allocated(
    publisher: SlicePublisher, workload: Workload, node_devices: tuple[tuple[Device, ...], MigGpu]
) -> None:
    devices = node_devices[0]
    publish(publisher, Pool(devices=devices))
    for file in sorted(path.name for path in (MANIFESTS / "examples" / "dra").glob("*.yaml")):
        workload.example(file)
    until("seven allocations", lambda: len(workload.allocated()) == 7)
    until("scheduled pods", lambda: not workload.unscheduled())
    claims = workload.allocated()
    assert sorted(len(each) for each in claims) == [1, 1, 1, 1, 1, 1, 2]
    assert sum("-mig-1g10gb-" in each[0] for each in claims) == 1
    by_name = {device.name: device for device in devices}
    (pair,) = (each for each in claims if len(each) == 2)
    assert len({by_name[name].gpu.numa_node for name in pair}) == 1


def test_mixed_mig_devices_never_overlap_and_fill_the_gpu(
    publisher: SlicePublisher, workload: Workload, node_devices: tuple[tuple[Device, ...], MigGpu]
) -> None:
    devices, mig = node_devices
    of_one = [device for device in devices if device.gpu.index == 0]
    publish(publisher, Pool(devices=of_one))
    profiles = itertools.islice(itertools.cycle(["1g.10gb", "2g.20gb", "1g.20gb", "1g.10gb+me", "3g.40gb"]), 20)
    workload.apply([each for number, profile in enumerate(profiles) for each in _slice_of(number, profile)])
    until("a full GPU", lambda: len(workload.allocated()) >= 3)
    time.sleep(3)
    by_name = {device.name: device for device in of_one}
    given = [by_name[name] for (name,) in workload.allocated()]
    items = [(device.profile, device.placement) for device in given if device.profile and device.placement]
    assert len(items) == len(given)
    assert is_possible(mig, items)
    wanted = {"1g.10gb", "2g.20gb", "1g.20gb", "1g.10gb+me", "3g.40gb"}
    free = [
        each
        for each in of_one
        if each.kind is DeviceKind.MIG
        and each.profile
        and each.placement
        and each.profile.name in wanted
        and is_possible(mig, [*items, (each.profile, each.placement)])
    ]
    waiting = {name.split("-", 1)[1] for name in workload.unscheduled()}
    assert not {each.profile.name.replace(".", "").replace("+", "-") for each in free if each.profile} & waiting


def _slice_of(number: int, profile: str) -> list[dict[str, Any]]:
    claim, pod = yaml.safe_load_all((MANIFESTS / "examples" / "dra" / "mig-slice.yaml").read_text())
    name = f"p{number}-{profile.replace('.', '').replace('+', '-')}"
    (request,) = claim["spec"]["spec"]["devices"]["requests"]
    request["exactly"]["selectors"][0]["cel"]["expression"] = (
        f"device.attributes['gpu.nvidia.com'].profile == '{profile}'"
    )
    claim["metadata"]["name"] = pod["metadata"]["name"] = name
    pod["spec"]["resourceClaims"][0]["resourceClaimTemplateName"] = name
    return [claim, pod]


def test_a_tainted_gpu_gets_no_pod_until_the_taint_is_gone(
    publisher: SlicePublisher, workload: Workload, node_devices: tuple[tuple[Device, ...], MigGpu]
) -> None:
    full = [device for device in node_devices[0] if device.kind is DeviceKind.GPU][:1]
    publish(publisher, Pool(devices=full, taints={full[0].name: (XID,)}))
    workload.example("product-and-memory.yaml")
    until("a claim", lambda: workload.unscheduled() == ["large-h100"])
    time.sleep(2)
    assert workload.allocated() == []
    publisher.desire(Pool(devices=full))
    until("the allocation", lambda: workload.allocated() == [[full[0].name]])
    until("a scheduled pod", lambda: not workload.unscheduled())


def test_no_execute_evicts_the_pod_of_a_tainted_gpu(
    publisher: SlicePublisher, workload: Workload, node_devices: tuple[tuple[Device, ...], MigGpu]
) -> None:
    full = [device for device in node_devices[0] if device.kind is DeviceKind.GPU][:1]
    publish(publisher, Pool(devices=full))
    workload.example("product-and-memory.yaml")
    until("a scheduled pod", lambda: workload.allocated() and not workload.unscheduled())
    taint = DeviceTaint(key=XID.key, value=XID.value, effect=TaintEffect.NO_EXECUTE)
    publisher.desire(Pool(devices=full, taints={full[0].name: (taint,)}))
    until("the eviction", lambda: workload.is_deleted("large-h100"))
