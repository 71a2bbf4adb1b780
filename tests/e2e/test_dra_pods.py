"""gpu-dra-driver on a real node: pods with claims run with their devices, and MIG devices are made for them and destroyed afterwards.

The driver is a process of the machine with simulated GPUs. The kubelet, the scheduler and the container runtime are real.
"""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpu_core.cdi.write import CDI_FOLDER
from tests.e2e.cluster import Cluster, attach
from tests.e2e.cluster.errors import ClusterError
from tests.e2e.objects import pod
from tests.e2e.timings import Timings
from tests.e2e.world import Obj

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

WAIT_S = 120.0
CLAIMS = Path("/var/lib/kubelet/plugins/gpu.nvidia.com/claims.json")
KUBELET_CLAIMS = Path("/var/lib/kubelet/dra_manager_state")
SCENARIO = """
driver: {{version: "570.1", cuda: "12.8"}}
mig_state: {folder}/mig-state.json
gpus:
  - {{model: NVIDIA H100 80GB HBM3, count: 2, memory: 81559Mi, compute: "9.0", device_id: "2330", mig: {{mode: disabled}}}}
"""
MIG = "device.attributes['gpu.nvidia.com'].type == 'mig' && device.attributes['gpu.nvidia.com'].profile == '{}'"


class Node:
    """The driver of the cluster's node."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster, self._folder = cluster, folder
        (folder / "scenario.yaml").write_text(SCENARIO.format(folder=folder))
        self._log = (folder / "driver.log").open("wb")
        self._driver: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = (
            sys.executable, "-m", "dra_driver", "--node-name", self.cluster.node_name, "--kubeconfig",
            str(self.cluster.kubeconfig), "--simulate", str(self._folder / "scenario.yaml"), "--lock-dir",
            str(self._folder), "--http-address", "", "--dra-dynamic-mig",
        )  # fmt: skip
        self._driver = subprocess.Popen(command, stdout=self._log, stderr=self._log)

    def signal(self, number: int) -> None:
        """SIGSTOP stops the driver in the middle of what it does, SIGCONT lets the driver continue."""
        if self._driver is not None:
            self._driver.send_signal(number)

    def kill(self) -> None:
        """Sends SIGKILL."""
        if self._driver is not None:
            self._driver.kill()
            self._driver.wait()

    def close(self) -> None:
        if self._driver is not None:
            self._driver.terminate()
            self._driver.wait()
        self._log.close()

    def apply(self, *objects: Obj) -> None:
        self.cluster.kubectl("apply", "-f", "-", stdin="\n---\n".join(map(json.dumps, objects)))

    def until(self, what: str, read: Any) -> Any:
        deadline, error = time.monotonic() + WAIT_S, ""
        while time.monotonic() < deadline:
            try:
                if found := read():
                    return found
            except ClusterError as failure:
                error = str(failure)
            time.sleep(0.1)
        events = self.cluster.kubectl("get", "events", "-n", "default", check=False)
        log = (self._folder / "driver.log").read_text()
        raise AssertionError(f"timeout, waiting for {what}. {error}\n{events[-3000:]}\n{log[-3000:]}")

    def until_running(self, *names: str) -> None:
        def phases() -> bool:
            shown = (self.cluster.kubectl("get", "pod", name, "-o", "jsonpath={.status.phase}") for name in names)
            return all(phase == "Running" for phase in shown)

        self.until(f"running pods {', '.join(names)}", phases)

    def devices(self, name: str) -> list[str]:
        """The UUIDs of the simulated devices in the only container of a pod."""
        shown = self.cluster.kubectl("exec", name, "--", "env").splitlines()
        return sorted(line.partition("=")[2] for line in shown if line.startswith("GPUNODE_SIMULATED_DEVICE_"))

    @property
    def instances(self) -> list[Any]:
        """The GPU instances of all GPUs."""
        changed = json.loads((self._folder / "mig-state.json").read_text())
        return [each for gpu in changed.values() for each in gpu["now"]["instances"]]

    @property
    def recorded(self) -> dict[str, Any]:
        claims: dict[str, Any] = json.loads(CLAIMS.read_text())["claims"]
        return claims


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    cluster = attach()
    assert cluster is not None, "no cluster is running: run `make e2e`, which starts a cluster and runs these tests"
    with tempfile.TemporaryDirectory(prefix="dra-e2e-") as folder:
        made = Node(cluster, Path(folder))
        made.apply(*(device_class(kind) for kind in ("gpu", "mig")))
        made.start()
        made.until("the slices", lambda: cluster.kubectl("get", "resourceslices", "-o", "name"))
        yield made
        cluster.kubectl("delete", "pods,resourceclaims,resourceclaimtemplates", "--all", "--timeout=60s")
        made.close()
        cluster.kubectl("delete", "resourceslices,deviceclasses", "--all")


@pytest.fixture(autouse=True)
def _clean(node: Node) -> Iterator[None]:
    yield
    node.cluster.kubectl("delete", "pods", "--all", "--timeout=60s")
    node.cluster.kubectl("delete", "resourceclaims,resourceclaimtemplates", "--all", "--timeout=60s")
    node.until("the end of all claims", lambda: not node.recorded)


def device_class(kind: str) -> Obj:
    expression = f"device.driver == 'gpu.nvidia.com' && device.attributes['gpu.nvidia.com'].type == '{kind}'"
    spec = {"selectors": [{"cel": {"expression": expression}}]}
    metadata = {"name": f"{kind}.nvidia.com"}
    return {"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": metadata, "spec": spec}


def request(kind: str, expression: str | None = None) -> Obj:
    selectors = [] if expression is None else [{"cel": {"expression": expression}}]
    exactly = {"deviceClassName": f"{kind}.nvidia.com", "selectors": selectors}
    return {"devices": {"requests": [{"name": "gpu", "exactly": exactly}]}}


def template(name: str, spec: Obj) -> Obj:
    metadata = {"name": name, "namespace": "default"}
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaimTemplate",
        "metadata": metadata,
        "spec": {"spec": spec},
    }


def user(name: str, **claim: str) -> Obj:
    made = pod(name)
    made["spec"]["resourceClaims"] = [{"name": "gpu", **claim}]
    made["spec"]["containers"][0]["resources"] = {"claims": [{"name": "gpu"}]}
    return made


def test_a_pod_with_a_claim_runs_with_its_gpu(node: Node, timings: Timings) -> None:
    node.apply(template("one-gpu", request("gpu")))
    for name in ("one", "two"):
        began = time.monotonic()
        node.apply(user(name, resourceClaimTemplateName="one-gpu"))
        node.until_running(name)
        timings.add("pod with a claim to running container", time.monotonic() - began)
    devices = {device for name in ("one", "two") for device in node.devices(name)}
    assert len(devices) == 2
    assert all(each.startswith("GPU-") for each in devices)


def test_two_pods_share_one_claim(node: Node) -> None:
    claim = {
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim",
        "metadata": {"name": "shared", "namespace": "default"}, "spec": request("gpu"),
    }  # fmt: skip
    node.apply(claim, user("a", resourceClaimName="shared"), user("b", resourceClaimName="shared"))
    node.until_running("a", "b")
    assert node.devices("a") == node.devices("b")


def test_pods_get_mig_devices_of_several_profiles_that_are_made_for_them(node: Node) -> None:
    profiles = {"1g.10gb": 5, "2g.20gb": 2, "3g.40gb": 1}
    names = []
    for profile, count in profiles.items():
        short = profile.replace(".", "-")
        node.apply(template(short, request("mig", MIG.format(profile))))
        names += [f"{short}-{number}" for number in range(count)]
        node.apply(*(user(f"{short}-{number}", resourceClaimTemplateName=short) for number in range(count)))
    node.until_running(*names)
    devices = [uuid for name in names for uuid in node.devices(name)]
    assert len({*devices}) == len(names) == 8
    assert all(each.startswith("MIG-") for each in devices)


def test_after_kills_of_the_driver_and_the_kubelet_pods_stay_and_new_ones_run(node: Node) -> None:
    node.apply(
        template("small", request("mig", MIG.format("1g.10gb"))), user("stays", resourceClaimTemplateName="small")
    )
    node.until_running("stays")
    before = node.devices("stays")
    node.kill()
    node.apply(user("later", resourceClaimTemplateName="small"))
    node.start()
    node.until_running("later")
    node.cluster.stop("kubelet")
    node.cluster.start("kubelet")
    node.apply(user("last", resourceClaimTemplateName="small"))
    node.until_running("stays", "later", "last")
    assert node.devices("stays") == before
    assert len({*before, *node.devices("later"), *node.devices("last")}) == 3


def test_a_kill_of_the_api_server_during_a_prepare_delays_a_pod_and_leaves_nothing(
    node: Node, timings: Timings
) -> None:
    """The kubelet records a claim before it calls the driver. The driver, which is stopped until then, finds no API server."""
    node.signal(signal.SIGSTOP)
    node.apply(template("cut", request("mig", MIG.format("1g.10gb"))), user("cut", resourceClaimTemplateName="cut"))
    node.until("the call of the kubelet", lambda: '"cut-gpu-' in KUBELET_CLAIMS.read_text().replace("\\", ""))
    node.cluster.stop("kube-apiserver")
    node.signal(signal.SIGCONT)
    node.cluster.start("kube-apiserver")
    began = time.monotonic()
    node.until_running("cut")
    timings.add("API server after a kill to running container", time.monotonic() - began)
    assert len(node.devices("cut")) == len(node.instances) == 1
    node.cluster.kubectl("delete", "pod", "cut", "--timeout=60s")
    node.until("the end of the claim", lambda: not node.recorded)
    assert (node.instances, [*CDI_FOLDER.glob("k8s.gpu.nvidia.com-claim_*")]) == ([], [])
    node.until("no claim of the kubelet", lambda: '"cut-gpu-' not in KUBELET_CLAIMS.read_text().replace("\\", ""))
