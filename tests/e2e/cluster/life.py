"""Brings a cluster up, proves that it runs pods, and takes it down without a trace."""

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
    """The cluster that runs already, or a new one. One that runs in part, or is another, is taken down first."""
    cache = cache or cache_folder()
    meet_needs(cache, say)
    layout = Layout(run_dir=run_dir, binaries=build(cache, say), node_name=node_name)
    with locked(run_dir.parent):
        there = attach(run_dir)
        if there is not None and there.layout == layout and all(map(there.running, there.components)):
            return there
        _take_down(run_dir)
        return _bring_up(layout, cache, say)


def down(run_dir: Path = RUN_DIR) -> None:
    """Everything that up made is gone. Without a cluster it does nothing."""
    if run_dir.exists() and os.geteuid() != 0:
        raise ClusterError("root is needed: sudo -E make cluster-down")
    with locked(run_dir.parent):
        _take_down(run_dir)


def _bring_up(layout: Layout, cache: Path, say: Say) -> Cluster:
    claim_folders(layout.run_dir, _new_folders(layout.run_dir), SHARED_FOLDERS)
    save_sysctls(layout.run_dir / "sysctls.json")
    write_files(layout)
    set_up_network()
    cluster = Cluster(layout)
    for component in cluster.components:
        cluster.start(component)
        say(f"{component} runs")
        if component == "containerd":
            cluster.import_image(build_busybox(cache))
    _wait_for_node(cluster)
    _say_hello(cluster)
    write_state(layout)
    return cluster


def _wait_for_node(cluster: Cluster) -> None:
    def ready() -> bool:
        node = cluster.kubectl("get", "node", cluster.node_name, "-o", "json", "--ignore-not-found")
        return bool(node) and node_ready(node)

    def account() -> bool:
        return "default" in cluster.kubectl("get", "serviceaccount", "default", "-o", "name", "--ignore-not-found")

    wait_until(f"node {cluster.node_name} ready", ready, NODE_READY_S, cluster.layout.log("kubelet"))
    wait_until("default service account", account, NODE_READY_S, cluster.layout.log("kube-controller-manager"))


def node_ready(node: str) -> bool:
    """JSON of a Node: Ready, and free of the taints that keep pods away until it is."""
    read = json.loads(node)
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in read["status"].get("conditions", ()))
    return ready and not read["spec"].get("taints")


def _say_hello(cluster: Cluster) -> None:
    """A pod asks the API server by its service address, and ends."""
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
        "the hello pod ended", lambda: phase() in ("Succeeded", "Failed"), HELLO_S, cluster.layout.log("kubelet")
    )
    if phase() != "Succeeded":
        raise ClusterError(f"the hello pod failed: {cluster.kubectl('logs', 'hello', check=False)}")
    cluster.kubectl("delete", "pod", "hello", "--wait=false")


def _take_down(run_dir: Path) -> None:
    """Processes first: what they hold cannot go before them. Their mounts end with their mount namespace."""
    if not any(is_ours(folder, run_dir) for folder in _new_folders(run_dir)):
        return
    _kill_all(run_dir)
    tear_down_network()
    remove_cgroups()
    restore_sysctls(run_dir / "sysctls.json")
    release_folders(run_dir, (*SHARED_FOLDERS, *_new_folders(run_dir)))


def _new_folders(run_dir: Path) -> tuple[Path, Path]:
    """Those that only a cluster of ours has. The run dir goes last: it tells of the others."""
    return KUBELET, run_dir


def _kill_all(run_dir: Path) -> None:
    """The components, the shims of pods, and all that they started, until none is left."""
    layout = Layout(run_dir=run_dir, binaries=run_dir)
    pid_files, socket = tuple(layout.pids.glob("*")), str(layout.containerd_socket)

    def left() -> set[int]:
        components = {process.pid for process in map(recorded, pid_files) if process is not None}
        return select_descendants(read_processes().values(), components | read_shims(socket))

    def none_left() -> bool:
        kill(left())
        return not left()

    wait_until("all processes ended", none_left, 30)
