"""The DaemonSet gpu-dra-driver of the chart on a real node: each example, updates with claims in use and in preparation, and a taint."""

import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from dra_driver.kubelet.plugin import KUBELET_ROOT, plugin_paths
from node_core.runtime.instance_lock import DEFAULT_DIRECTORY
from tests.e2e.cluster import Cluster, attach
from tests.e2e.cluster.image import GPUNODE
from tests.e2e.driver import make_driver
from tests.e2e.examples import EXAMPLES, parse_expected, tidy, use_test_image
from tests.e2e.timings import Timings
from tests.e2e.tokens import NAMESPACE
from tests.manifests.helm import MANIFESTS, load, template

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

WAIT_S = 180.0
UPDATES = 3
SCENARIO = DEFAULT_DIRECTORY / "dra-e2e.yaml"
EIGHT = """
driver: {{version: "570.1", cuda: "12.8"}}
mig_state: {folder}/dra-e2e-mig.json
gpus:
  - {{model: NVIDIA H100 80GB HBM3, count: {count}, memory: 81559Mi, compute: "9.0", device_id: "2330", numa: 0, mig: {{mode: disabled}}}}
"""
FAULTS = """
faults:
  - {at: 6, gpu: 0, kind: xid, code: 48}
  - {at: 6, for: 20, gpu: 0, kind: recovery, action: reset}
"""
FILES = sorted((EXAMPLES / "dra").glob("*.yaml"))
VALUES = (
    "--set=dra.enabled=true",
    "--set=devicePlugin.enabled=false",
    "--set=dra.dynamicMIG=true",
    "--set=dra.extendedResource=nvidia.com/gpu",
    "--set=dra.rollingUpdate=true",
    f"--set=image.repository={GPUNODE.rpartition(':')[0]}",
    f"--set-string=image.tag={GPUNODE.rpartition(':')[2]}",
    "--set=image.pullPolicy=Never",
    f'--set-json=dra.extraArgs=["--simulate={SCENARIO}"]',
    "--show-only=templates/gpu-dra-driver.yaml",
)


class Driver:
    """The DaemonSet on the cluster's node, with a fake driver that has nvidia-smi and the program of MPS."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        root = cluster.run_dir / "driver"
        if not root.exists():
            make_driver(root, gpus=8)
        mps = cluster.run_dir / "mps-of-claims"
        (mps / "dra" / "shm").mkdir(parents=True, exist_ok=True)
        host = f"--set=nvidiaDriverRoot={root}", f"--set=mps.root={mps}", "--set=privileged=true"
        self.objects = load(template(*VALUES, *host))

    def install(self) -> None:
        kubectl = self.cluster.kubectl
        kubectl("apply", "-f", str(MANIFESTS / "base" / "namespace.yaml"))
        kubectl("delete", "daemonsets", "--all", "-n", NAMESPACE)
        kubectl("apply", "-f", str(MANIFESTS / "overlays" / "dra" / "account.yaml"))
        kubectl("label", "node", self.cluster.node_name, "nvidia.com/gpu.present=true", "--overwrite")
        self.simulate(8)
        kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin=yaml.safe_dump_all(self.objects))
        self.until_ready()

    def simulate(self, count: int, faults: str = "") -> None:
        """Writes the scenario that the next pod of the driver reads. The pods mount this folder."""
        SCENARIO.parent.mkdir(exist_ok=True)
        (DEFAULT_DIRECTORY / "dra-e2e-mig.json").unlink(missing_ok=True)
        SCENARIO.write_text(EIGHT.format(folder=DEFAULT_DIRECTORY, count=count) + faults)

    def restart(self) -> None:
        self.cluster.kubectl("rollout", "restart", "daemonset/gpu-dra-driver", "-n", NAMESPACE)
        self.until_ready()

    def until_ready(self) -> None:
        self.cluster.kubectl("rollout", "status", "daemonset/gpu-dra-driver", "-n", NAMESPACE, "--timeout=90s")

    def until(self, what: str, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            if time.monotonic() > deadline:
                log = self.cluster.kubectl("logs", "-n", NAMESPACE, "ds/gpu-dra-driver", "--tail=30", check=False)
                events = self.cluster.kubectl("get", "events", "-n", "default", check=False)
                raise AssertionError(f"timeout, waiting for {what}\n{log}\n{events[-2000:]}")
            time.sleep(0.2)

    def slices(self) -> dict[str, tuple[str, str]]:
        """Name -> UID and resourceVersion: each write changes one of them."""
        return {
            each["metadata"]["name"]: (each["metadata"]["uid"], each["metadata"]["resourceVersion"])
            for each in self._list("resourceslices")
        }

    @property
    def uid(self) -> str:
        """The UID of the only pod; empty while there are two."""
        command = "get", "pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=gpu-dra-driver", "-o", "json"
        found = json.loads(self.cluster.kubectl(*command))["items"]
        return str(found[0]["metadata"]["uid"]) if len(found) == 1 else ""

    def taints(self) -> set[str]:
        """The taints of all devices, as `key=value`."""
        devices = [device for each in self._list("resourceslices") for device in each["spec"].get("devices", ())]
        return {f"{taint['key']}={taint.get('value', '')}" for device in devices for taint in device.get("taints", ())}

    def phases(self) -> dict[str, str]:
        return {each["metadata"]["name"]: each["status"]["phase"] for each in self._list("pods")}

    def runs(self, pod: str) -> bool:
        return self.phases().get(pod) == "Running"

    def apply(self, file: Path) -> None:
        objects = [use_test_image(obj) if obj["kind"] == "Pod" else obj for obj in yaml.safe_load_all(file.read_text())]
        self.cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def clean(self) -> None:
        self.cluster.kubectl("delete", "pods", "--all", "--timeout=60s")
        self.cluster.kubectl("delete", "resourceclaims,resourceclaimtemplates", "--all", "--timeout=60s")

    def _list(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.cluster.kubectl("get", kind, "-o", "json"))["items"]
        return found


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    cluster = attach()
    assert cluster is not None, "no cluster is running: run `make e2e`, which starts a cluster and runs these tests"
    driver = Driver(cluster)
    driver.install()
    yield driver
    cluster.kubectl(
        "delete", "-n", NAMESPACE, "-f", "-", "--ignore-not-found", stdin=yaml.safe_dump_all(driver.objects)
    )
    cluster.kubectl("delete", "resourceslices", "--all")
    SCENARIO.unlink()


def test_each_example_has_the_documented_result(driver: Driver, timings: Timings) -> None:
    driver.until("the slices", driver.slices)
    began = time.monotonic()
    for file in FILES:
        driver.apply(file)
    (expected,) = parse_expected((EXAMPLES / "dra" / "README.md").read_text())
    driver.until("running pods", lambda: tidy(driver.cluster.kubectl(*expected.command)) == expected.output)
    timings.add("ten pods with claims to running containers", time.monotonic() - began)


def test_doctor_in_the_pod_of_the_driver_finds_no_problem(driver: Driver) -> None:
    """Raises if doctor ends with a status other than 0. The pods of the examples have claims meanwhile."""
    text = driver.cluster.kubectl("exec", "-n", NAMESPACE, "ds/gpu-dra-driver", "--", "gpunode", "doctor")
    assert "ok       registration: gpu-dra-driver responds at " in text
    assert "ok       devices: the devices of the ResourceSlices are those of the GPUs of this node" in text
    assert re.search(r"^ok +claims file: .* records \d+ claims, \d+ prepared$", text, re.MULTILINE), text


def test_an_update_of_the_driver_changes_neither_slices_nor_pods(driver: Driver) -> None:
    before, phases = driver.slices(), driver.phases()
    assert len(phases) == 10
    driver.restart()
    assert driver.slices() == before
    assert driver.phases() == phases
    driver.clean()


def test_pods_with_claims_start_during_updates_of_the_driver(driver: Driver, timings: Timings) -> None:
    before = driver.slices()
    template, pod = yaml.safe_load_all((EXAMPLES / "dra" / "mig-slice.yaml").read_text())
    driver.cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(template))
    driver.cluster.kubectl("delete", "--raw=/api/v1/namespaces/default/events")  # one request, not one for each Event

    def update() -> list[str]:
        uids = [driver.uid]
        for _ in range(UPDATES):
            driver.restart()
            driver.until("one pod", lambda: driver.uid not in ("", uids[-1]))
            uids.append(driver.uid)
        return uids

    with ThreadPoolExecutor(1) as pool:
        updates, number = pool.submit(update), 0
        while not updates.done():
            number += 1
            name, began = f"slice-{number}", time.monotonic()
            obj = {**pod, "metadata": {"name": name}}
            driver.cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(use_test_image(obj)))
            driver.until("a running pod", partial(driver.runs, name))
            timings.add("a pod with a claim to its container, during updates of the driver", time.monotonic() - began)
            driver.cluster.kubectl("delete", "pod", name, "--now", "--timeout=60s")
    assert len({*updates.result()}) == UPDATES + 1
    assert number > UPDATES
    failed = driver.cluster.kubectl("get", "events", "--field-selector=reason=FailedPrepareDynamicResources", "-oname")
    assert failed == "", driver.cluster.kubectl("get", "events")
    assert driver.slices() == before, "an update writes no slices"
    expected = plugin_paths(KUBELET_ROOT, driver.uid).registration_socket
    assert [*expected.parent.glob("gpu.nvidia.com-*.sock")] == [expected]
    driver.clean()


def test_an_xid_taints_a_gpu_until_the_gpu_has_recovered(driver: Driver) -> None:
    driver.simulate(1, FAULTS)
    driver.restart()
    driver.until("the taint of the Xid", lambda: "gpu.nvidia.com/xid=48" in driver.taints())
    driver.apply(EXAMPLES / "dra" / "product-and-memory.yaml")
    driver.until("a pending pod", lambda: driver.phases() == {"large-h100": "Pending"})
    driver.until(
        "the taint of the hold-down",
        lambda: driver.taints() != set() and "gpu.nvidia.com/recovery-action=reset" not in driver.taints(),
    )
    assert driver.phases() == {"large-h100": "Pending"}
    driver.until("the end of the taints", lambda: not driver.taints())
    driver.until("a running pod", lambda: driver.phases() == {"large-h100": "Running"})
    driver.clean()
