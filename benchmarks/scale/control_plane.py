"""An API server and an etcd, as in `make cluster`, without a Node: the simulated agents need neither a kubelet nor controllers.

Does not need root, but the ports of `make cluster`, so only one of both can run.
"""

import json
import resource
import tempfile
import urllib.request
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from benchmarks.procfs import read_rss
from node_core.kube.http import ApiClient
from tests.e2e.cluster import Cluster, attach
from tests.e2e.cluster.build import build, cache_folder, locked
from tests.e2e.cluster.files import write_files
from tests.e2e.cluster.layout import ETCD_PORT, RUN_DIR, Layout
from tests.e2e.cluster.processes import recorded

ROOT = Path(__file__).parents[2]
NAMESPACE = ACCOUNT = "gpunode"
OPEN_FILES = 200_000
TOKEN_SECONDS = 6 * 3600
PROGRAMS = ("etcd", "kube-apiserver")


class ControlPlane:
    """admin: sends requests without the limits of API priority and fairness. account: a folder like that of a pod's service account."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self.admin = ApiClient(kubeconfig=str(cluster.kubeconfig), user_agent="scale", timeout=(5.0, 120.0))
        self.account = folder / "account"

    @property
    def url(self) -> str:
        return self._cluster.api_url

    def create(self, path: str, obj: dict[str, Any]) -> dict[str, Any]:
        return dict(self.admin.request("POST", path, body=obj, content="application/json"))

    def set_up(self) -> None:
        """Creates the resource kinds, and the service account that all agents have. Its requests count for priority and fairness."""
        for file in ("nodefeature.yaml", "nodefeaturerule.yaml"):
            definition = yaml.safe_load((ROOT / "manifests/crds" / file).read_text())
            self.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
        self.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        self.create(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts", {"metadata": {"name": ACCOUNT}})
        self.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
            "metadata": {"name": "scale"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
        })  # fmt: skip
        request = {"spec": {"expirationSeconds": TOKEN_SECONDS}}
        path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{ACCOUNT}/token"
        token = self.create(path, request)["status"]["token"]
        authority = json.loads(self._cluster.kubeconfig.read_text())["clusters"][0]["cluster"][
            "certificate-authority-data"
        ]
        self.account.mkdir()
        for name, text in (("token", token), ("namespace", NAMESPACE), ("ca.crt", b64decode(authority).decode())):
            (self.account / name).write_text(text)

    def metrics(self) -> str:
        """Returns the metrics of the API server."""
        return bytes(self.admin.open("GET", "/metrics").data).decode()

    def memory(self) -> dict[str, float]:
        """Returns the resident MiB of each program."""
        processes = {name: recorded(self._cluster.layout.pid(name)) for name in PROGRAMS}
        return {name: read_rss(process.pid) for name, process in processes.items() if process is not None}

    def stop_api_server(self) -> None:
        """Kills the API server."""
        self._cluster.stop("kube-apiserver")

    def start_api_server(self) -> None:
        """Starts the API server and waits until it is ready."""
        self._cluster.start("kube-apiserver")

    def compact(self) -> int:
        """Removes all old revisions from etcd. Returns the revision."""
        status = _post("/v3/maintenance/status", {})
        revision = int(status["header"]["revision"])
        _post("/v3/kv/compaction", {"revision": str(revision), "physical": True})
        return revision

    def database_bytes(self) -> int:
        return int(_post("/v3/maintenance/status", {})["dbSizeInUse"])


@contextmanager
def open_control_plane() -> Iterator[ControlPlane]:
    """Builds the programs if needed, and starts them. Raises SystemExit while a cluster of `make cluster` runs."""
    _allow_open_files()
    with locked(RUN_DIR.parent), tempfile.TemporaryDirectory(prefix="gpunode-scale-") as name:
        if attach() is not None:
            raise SystemExit("a cluster is running, with the same ports: make cluster-down")
        folder = Path(name)
        layout = Layout(run_dir=folder / "run", binaries=build(cache_folder(), print))
        layout.run_dir.mkdir()
        write_files(layout)
        cluster = Cluster(layout)
        try:
            for program in PROGRAMS:
                cluster.start(program)
            control_plane = ControlPlane(cluster, folder)
            control_plane.set_up()
            yield control_plane
        finally:
            for program in reversed(PROGRAMS):
                cluster.stop(program)


def _allow_open_files() -> None:
    """Raises the limit of open files for this process and its children, as far as possible."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, max(OPEN_FILES, hard)))
    except (ValueError, PermissionError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _post(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Calls the JSON gateway of etcd."""
    request = urllib.request.Request(f"http://127.0.0.1:{ETCD_PORT}{path}", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
        result: dict[str, Any] = json.load(response)
    return result
