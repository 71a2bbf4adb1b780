"""Starts a cluster, tests that it runs pods, and removes it completely."""

import json
import os
from pathlib import Path

from tests.e2e.cluster.build import Say, build, cache_folder, locked
from tests.e2e.cluster.cluster import Cluster, attach
from tests.e2e.cluster.errors import ClusterError
from tests.e2e.cluster.files import write_files, write_state
from tests.e2e.cluster.image import TEST_IMAGE, build_busybox
from tests.e2e.cluster.layout import NODE_NAME, RUN_DIR, Layout
from tests.e2e.cluster.machine import (
    KUBELET,
    SHARED_FOLDERS,
    claim_folders,
    is_ours,
    release_folders,
    remove_cgroups,
    restore_sysctls,
    save_sysctls,
)
from tests.e2e.cluster.needs import meet_needs
from tests.e2e.cluster.network import set_up_network, tear_down_network
from tests.e2e.cluster.processes import kill, read_processes, read_shims, recorded, select_descendants, wait_until

NODE_READY_S = 120.0
HELLO_S = 60.0


def up(*, node_name: str = NODE_NAME, run_dir: Path = RUN_DIR, cache: Path | None = None, say: Say = print) -> Cluster:
    """Returns the running cluster, or starts a new one. Removes an incomplete or different cluster first."""
    cache = cache or cache_folder()
    meet_needs(cache, say)
    layout = Layout(run_dir=run_dir, binaries=build(cache, say), node_name=node_name)
    with locked(run_dir.parent):
        existing = attach(run_dir)
        if existing is not None and existing.layout == layout and all(map(existing.running, existing.components)):
            return existing
        _remove(run_dir)
        return _start(layout, cache, say)


def down(run_dir: Path = RUN_DIR) -> None:
    """Removes everything that `up` created. Does nothing without a cluster."""
    if run_dir.exists() and os.geteuid() != 0:
        raise ClusterError("needs root: sudo -E make cluster-down")
    with locked(run_dir.parent):
        _remove(run_dir)


def _start(layout: Layout, cache: Path, say: Say) -> Cluster:
    claim_folders(layout.run_dir, _new_folders(layout.run_dir), SHARED_FOLDERS)
    save_sysctls(layout.run_dir / "sysctls.json")
    write_files(layout)
    set_up_network()
    cluster = Cluster(layout)
    for component in cluster.components:
        cluster.start(component)
        say(f"{component} is running")
        if component == "containerd":
            cluster.import_image(build_busybox(cache))
    _wait_for_node(cluster)
    _run_test_pod(cluster)
    write_state(layout)
    return cluster


def _wait_for_node(cluster: Cluster) -> None:
    def ready() -> bool:
        node = cluster.kubectl("get", "node", cluster.node_name, "-o", "json", "--ignore-not-found")
        return bool(node) and node_ready(node)

    def account() -> bool:
        return "default" in cluster.kubectl("get", "serviceaccount", "default", "-o", "name", "--ignore-not-found")

    wait_until(f"the ready node {cluster.node_name}", ready, NODE_READY_S, cluster.layout.log("kubelet"))
    wait_until("the default service account", account, NODE_READY_S, cluster.layout.log("kube-controller-manager"))


def node_ready(node: str) -> bool:
    """Whether a Node, as JSON, is ready and has no taints."""
    parsed = json.loads(node)
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in parsed["status"].get("conditions", ()))
    return ready and not parsed["spec"].get("taints")


def _run_test_pod(cluster: Cluster) -> None:
    """Runs a pod that connects to the API server by its service address."""
    script = "echo hello | nc -w 5 $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT && echo hello"
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "hello", "namespace": "default"},
        "spec": {
            "restartPolicy": "Never",
            "containers": [
                {"name": "hello", "image": TEST_IMAGE, "imagePullPolicy": "Never", "command": ["sh", "-c", script]}
            ],
        },
    }
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(pod))

    def phase() -> str:
        return cluster.kubectl("get", "pod", "hello", "-o", "jsonpath={.status.phase}")

    wait_until(
        "the end of the hello pod", lambda: phase() in ("Succeeded", "Failed"), HELLO_S, cluster.layout.log("kubelet")
    )
    if phase() != "Succeeded":
        raise ClusterError(f"the hello pod failed: {cluster.kubectl('logs', 'hello', check=False)}")
    cluster.kubectl("delete", "pod", "hello", "--wait=false")


def _remove(run_dir: Path) -> None:
    """Ends the processes first, because they use the other resources. Their mounts end with their mount namespace."""
    if not any(is_ours(folder, run_dir) for folder in _new_folders(run_dir)):
        return
    _kill_all(run_dir)
    tear_down_network()
    remove_cgroups()
    restore_sysctls(run_dir / "sysctls.json")
    release_folders(run_dir, (*SHARED_FOLDERS, *_new_folders(run_dir)))


def _new_folders(run_dir: Path) -> tuple[Path, Path]:
    """The folders that exist only with a test cluster. The run dir is removed last, because it records the others."""
    return KUBELET, run_dir


def _kill_all(run_dir: Path) -> None:
    """Kills the components, the shims of pods and all their descendants."""
    layout = Layout(run_dir=run_dir, binaries=run_dir)
    pid_files, socket = tuple(layout.pids.glob("*")), str(layout.containerd_socket)

    def remaining() -> set[int]:
        components = {process.pid for process in map(recorded, pid_files) if process is not None}
        return select_descendants(read_processes().values(), components | read_shims(socket))

    def kill_remaining() -> bool:
        kill(remaining())
        return not remaining()

    wait_until("the end of all processes", kill_remaining, 30)
