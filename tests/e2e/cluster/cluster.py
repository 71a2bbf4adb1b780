"""A running cluster."""

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from tests.e2e.cluster.api import Api
from tests.e2e.cluster.commands import run
from tests.e2e.cluster.components import MOUNTS, Component, command_line, plan_components
from tests.e2e.cluster.errors import ClusterError
from tests.e2e.cluster.files import read_state
from tests.e2e.cluster.layout import RUN_DIR, Layout
from tests.e2e.cluster.nodes import add_node
from tests.e2e.cluster.processes import healthy, kill, last_lines, recorded, start, wait_until

START_S = 90.0
COMMAND_S = 180.0
KUBECTL = Path(sys.executable).parent / "kubectl"


class Cluster:
    """One control plane and one Node, with the components of plan_components."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.components = plan_components(layout)

    @property
    def kubeconfig(self) -> Path:
        return self.layout.kubeconfig("admin")

    @property
    def node_name(self) -> str:
        return self.layout.node_name

    @property
    def api_url(self) -> str:
        return self.layout.api_url

    @property
    def run_dir(self) -> Path:
        return self.layout.run_dir

    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True) -> str:
        """Runs kubectl and returns its output. check: raise ClusterError if kubectl fails; otherwise return also its errors."""
        files = (f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.run_dir}/kubectl")
        return run(str(KUBECTL), *files, *args, stdin=stdin, check=check, seconds=COMMAND_S)

    def import_image(self, archive: Path) -> None:
        """Imports a docker-archive. Pods use its images with imagePullPolicy: Never."""
        run(*self._ctr(), "-n", "k8s.io", "images", "import", str(archive), seconds=COMMAND_S)

    def stop(self, component: str) -> None:
        """Sends SIGKILL. Does nothing if the component is stopped."""
        pid_file = self.layout.pid(self._component(component).name)
        process = recorded(pid_file)
        if process is not None:
            kill([process.pid])
            wait_until(f"the end of {component}", lambda: recorded(pid_file) is None, 10)

    def start(self, component: str) -> None:
        """Starts the component with its existing files and waits until it is healthy. Does nothing if the component runs."""
        planned = self._component(component)
        log, pid_file = self.layout.log(planned.name), self.layout.pid(planned.name)
        if recorded(pid_file) is None:
            start(command_line(planned, self._mounts()), self._environment(), log, pid_file)
        wait_until(f"{component} to be ready", lambda: self._ready(planned), START_S, log)

    def running(self, component: str) -> bool:
        return recorded(self.layout.pid(self._component(component).name)) is not None

    def add_node(
        self, name: str, labels: Mapping[str, str] | None = None, capacity: Mapping[str, str] | None = None
    ) -> None:
        """Adds a Node without a kubelet. node-keeper keeps the Node ready. The scheduler uses the Node when its not-ready taint is removed.

        Pods on this Node remain Pending, and only --force deletes them. Pods that must run select `node_name`.
        """
        add_node(Api(self.kubeconfig), name, labels or {}, capacity or {}, datetime.now(UTC))

    def _component(self, name: str) -> Component:
        if name not in self.components:
            raise ClusterError(f"unknown component {name}", hint=f"one of {', '.join(self.components)}")
        return self.components[name]

    def _ready(self, planned: Component) -> bool:
        if not self.running(planned.name):
            raise ClusterError(f"{planned.name} ended\n{last_lines(self.layout.log(planned.name))}")
        if planned.name == "containerd":
            return self._is_containerd_ready()
        return planned.health is None or healthy(planned.health)

    def _is_containerd_ready(self) -> bool:
        try:
            run(*self._ctr(), "version")
        except ClusterError:
            return False
        return True

    def _ctr(self) -> tuple[str, ...]:
        return (str(self.layout.binaries / "ctr"), "-a", str(self.layout.containerd_socket))

    def _mounts(self) -> int | None:
        process = recorded(self.layout.pid(MOUNTS))
        return None if process is None else process.pid

    def _environment(self) -> dict[str, str]:
        """PATH contains containerd's shim, mount, runc and nft."""
        path = f"{self.layout.binaries}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return {
            "PATH": path,
            "HOME": str(self.run_dir),
            "PYTHONPATH": str(Path(__file__).parents[3]),
            "LANG": os.environ.get("LANG", "C"),
        }


def attach(run_dir: Path = RUN_DIR) -> Cluster | None:
    """Returns the cluster that `up` started; None if there is none."""
    layout = read_state(run_dir)
    return None if layout is None else Cluster(layout)
