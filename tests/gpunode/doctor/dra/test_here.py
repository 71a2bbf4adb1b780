"""The report of doctor on a node with gpu-dra-driver."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dra_driver.claims.holding import Claim, Holding
from dra_driver.claims.store import ClaimStore
from gpunode.doctor.command import main
from node_core.host.boot_id import read_boot_id
from node_core.host.flock import is_locked
from node_core.kube.client import NodeApi
from node_core.kube.http import JSON
from node_core.runtime.instance_lock import InstanceLock
from simulation.apiserver import ApiServer
from tests.conftest import Golden
from tests.gpunode.doctor.dra.sockets import serve_driver
from tests.waiting import until

SCENARIO = """
driver: {version: "570.1", cuda: "12.8"}
gpus:
  - {model: NVIDIA H100 80GB HBM3, count: 2, memory: 81559Mi, compute: "9.0", device_id: "2330", mig: {mode: disabled}}
"""
UID = "0b9c6e3c-8d4d-4f0e-9a53-6d3b8f3c1a11"
HEAVY = ("dra_driver.build", "dra_driver.agent", "dra_driver.claims.preparer", "dra_driver.slices.plan")
"""Modules of the driver that a node without the driver does not need."""


class Place:
    def __init__(self, root: Path, server: ApiServer, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self.server, self._capsys = root, server, capsys
        (root / "scenario.yaml").write_text(SCENARIO)
        server.add_node("n1")
        server.write_kubeconfig(root / "kubeconfig")
        self.flags = [
            "--node-name", "n1", "--kubeconfig", str(root / "kubeconfig"), "--simulate", str(root / "scenario.yaml"),
            "--lock-dir", str(root / "lock"), "--kubelet-socket", str(root / "k/device-plugins/kubelet.sock"),
        ]  # fmt: skip

    def offer(self, *devices: dict[str, Any], count: int = 1) -> None:
        pool = {"name": "n1", "generation": 1, "resourceSliceCount": count}
        spec = {"driver": "gpu.nvidia.com", "nodeName": "n1", "pool": pool, "devices": list(devices)}
        body = {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceSlice",
            "metadata": {"name": "n1-gpu.nvidia.com-0"},
            "spec": spec,
        }
        api = NodeApi("n1", kubeconfig=str(self.root / "kubeconfig"), user_agent="test")
        api.request("POST", "/apis/resource.k8s.io/v1/resourceslices", body=body, content=JSON)

    @contextmanager
    def driver(self) -> Iterator[None]:
        lock = InstanceLock(self.root / "lock", "gpu-dra-driver", "n1")
        assert lock.acquire() is None
        with serve_driver(self.root / "k"):
            yield
        lock.release()

    def record(self, content: bytes | None = None) -> None:
        path = self.root / "k/plugins/gpu.nvidia.com/claims.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        holding = Holding(requests=("gpu",), pool="n1", device="gpu-0", gpu="GPU-0")
        ClaimStore(path, read_boot_id()).write(
            {UID: Claim(namespace="ml", name="a", is_prepared=True, holdings=(holding,))}
        )
        if content is not None:
            path.write_bytes(content)

    def report(self, *flags: str) -> tuple[int, str]:
        self._capsys.readouterr()
        status = main([*self.flags, *flags])
        text = self._capsys.readouterr().out.replace(str(self.root), "/DIR")
        return status, re.sub(r"since \d+ \w+", "since 1 min", text)


@pytest.fixture
def place(root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("CDI_DIR", str(root / "cdi"))
    with ApiServer() as server:
        yield Place(root, server, capsys)


def test_a_driver_that_offers_the_gpus_is_in_order_without_the_device_plugin(place: Place, golden: Golden) -> None:
    place.offer({"name": "gpu-0"}, {"name": "gpu-1"})
    with place.driver():
        status, text = place.report()
    golden("doctor/on-node-dra.txt", text)
    assert status == 0


def test_a_driver_that_does_not_run_and_left_claims_and_slices_has_problems(place: Place, golden: Golden) -> None:
    taint = {"key": "gpu.nvidia.com/xid", "value": "79", "effect": "NoSchedule"}
    place.offer({"name": "gpu-0", "taints": [taint]}, {"name": "gpu-9"}, count=2)
    place.record()
    status, text = place.report()
    golden("doctor/on-node-dra-problems.txt", text)
    assert status == 1


def test_without_an_api_server_claims_and_slices_are_unknown_and_no_problem(place: Place) -> None:
    with place.driver():
        place.record(b'{"version": 1, "boot_id": "", "claims": {}}')
        place.flags[3] = ""
        _, text = place.report()
    assert "note     slices: unknown: the Node was not read" in text
    assert "note     claims: unknown which claims of the cluster have GPUs of this node: the Node was not read" in text
    assert "problem  " not in text


def test_what_an_earlier_driver_left_is_a_note_on_a_node_with_the_device_plugin(place: Place) -> None:
    place.record(b'{"version": 1, "boot_id": "", "claims": {}}')
    lock = InstanceLock(place.root / "lock", "gpu-device-plugin", "n1")
    assert lock.acquire() is None
    _, text = place.report()
    lock.release()
    assert text.count("gpu-dra-driver") == 1
    assert "note     agent: gpu-dra-driver does not run: no process has its lock in /DIR/lock, and nothing uses" in text


def test_a_node_without_the_driver_has_no_check_and_does_not_import_the_driver(place: Place) -> None:
    code = f"import sys; from gpunode.doctor.command import main; main({place.flags}); print(*sys.modules, file=sys.stderr)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "driver" not in ended.stdout
    assert not set(HEAVY).intersection(ended.stderr.split())


def test_doctor_uses_the_settings_of_the_process_of_the_driver(place: Place) -> None:
    """Doctor knows only the folder of the locks."""
    root = place.root
    (root / "k/plugins_registry").mkdir(parents=True)
    own = {"--kubelet-socket": "--kubelet-root", str(root / "k/device-plugins/kubelet.sock"): str(root / "k")}
    flags = [own.get(each, each) for each in place.flags]
    command = [sys.executable, "-m", "dra_driver", *flags, "--http-address", "", "--cdi-dir", str(root / "other")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        registration = root / "k/plugins_registry/gpu.nvidia.com-reg.sock"
        until(lambda: registration.is_socket() and is_held(root / "lock/gpu-dra-driver.n1.lock"))
        place.flags = ["--lock-dir", str(root / "lock")]
        _, text = place.report()
        process.terminate()
    assert "ok       settings: doctor uses the settings of the running gpu-dra-driver" in text
    assert f"agent: gpu-dra-driver runs (process {process.pid}, gpu-dra-driver)" in text
    assert "ok       api: the API server returns the Node n1" in text
    assert "registration: gpu-dra-driver responds at /DIR/k/plugins_registry/gpu.nvidia.com-reg.sock" in text


def is_held(lock: Path) -> bool:
    return lock.exists() and is_locked(lock)
