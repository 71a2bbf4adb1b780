"""The real cluster of the scenarios. Installs the agents from the manifests and kills processes with SIGKILL."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.e2e.cluster import Cluster
from tests.e2e.cluster.build import cache_folder
from tests.e2e.cluster.errors import ClusterError
from tests.e2e.cluster.processes import kill, read_processes, read_shims, select_descendants
from tests.e2e.driver import make_driver
from tests.e2e.driver_image.build import build_driver, read_os_tag, write_gpu_host
from tests.e2e.numa import fake_numa_nodes
from tests.e2e.overlay import AGENTS, EXPORTER, NAMESPACE, OPERATOR, OPTIONAL, WITH_OPERATOR, agents_of, render_overlay
from tests.e2e.runtime import RealRuntime
from tests.e2e.timings import Timings
from tests.e2e.world import ContainerView, Runtime, Setup, World

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"
ROLLOUT_S = 120
LOG_CHARACTERS = 2000
CPU_STATE = Path("/var/lib/kubelet/cpu_manager_state")


class RealWorld(World):
    """cluster: running, with the image of this tree. Pods of the agents with an older image are deleted."""

    repeats = 3
    timeout_s = 120
    pod_start_s = 30
    reports_devices = True

    def __init__(self, cluster: Cluster, timings: Timings) -> None:
        super().__init__(timings)
        self.cluster = cluster
        self.node = cluster.node_name
        self.kubectl("apply", "-k", str(MANIFESTS / "crds"))
        self.kubectl("delete", "pods", "--all", "-n", NAMESPACE)

    @property
    def kubeconfig(self) -> Path:
        return self.cluster.kubeconfig

    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True) -> str:
        return self.cluster.kubectl(*args, stdin=stdin, check=check)

    def agents(self, setup: Setup) -> None:
        self.start_agents(setup)
        for agent in agents_of(setup):
            try:
                self.kubectl("rollout", "status", f"daemonset/{agent}", "-n", NAMESPACE, f"--timeout={ROLLOUT_S}s")
            except ClusterError as error:
                raise ClusterError(f"{error}\n{self.log(agent)[-LOG_CHARACTERS:]}") from error

    def start_agents(self, setup: Setup) -> None:
        self.apply_manifests(setup)
        for agent in set(OPTIONAL) - set(agents_of(setup)):
            self.kubectl("delete", "daemonset", agent, "-n", NAMESPACE, "--ignore-not-found")
        if not setup.installs_drivers:
            self.kubectl("delete", "deployment", OPERATOR, "-n", NAMESPACE, "--ignore-not-found")

    def remove_agents(self) -> None:
        self.kubectl("delete", "deployments,daemonsets", "--all", "-n", NAMESPACE)
        self.until("the end of all agents", lambda: not self.kubectl("get", "pods", "-n", NAMESPACE, "-o", "name"))
        ours = [f"{key}-" for key in self.labels if key.startswith("nvidia.com/")]
        self.kubectl("label", "node", self.node, *ours, check=bool(ours))
        # until then the scheduler assigns pods with GPUs to the Node, and the kubelet refuses them
        self.until("no GPU", lambda: not any(name.startswith("nvidia.com/") for name in self.allocatable))

    def driver_host(self) -> str:
        folder = self.cluster.run_dir / "gpu-host"
        if not folder.exists():
            write_gpu_host(folder)
        self.cluster.import_image(build_driver(cache_folder(), read_os_tag()))
        return str(folder / "sys")

    def apply_manifests(self, setup: Setup) -> None:
        if setup.mig_state is not None:
            setup.mig_file.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(prefix="gpunode-e2e-") as name:
            folder = Path(name)
            for part in ("base", "crds", WITH_OPERATOR):
                shutil.copytree(MANIFESTS / part, folder / part)
            for agent, (overlay, files) in OPTIONAL.items():
                (folder / agent).mkdir()
                for file in files:
                    shutil.copy(MANIFESTS / "overlays" / overlay / file, folder / agent)
            for file, text in render_overlay(setup, self.node).items():
                (folder / file).write_text(text)
            self.kubectl("apply", "-k", name)

    def kill(self, what: str) -> None:
        if what in self.cluster.components:
            self.cluster.stop(what)
        else:
            kill(self._processes(what))

    def start(self, component: str) -> None:
        self.cluster.start(component)

    def replace_agents(self) -> None:
        self.kubectl("delete", "pods", "--all", "-n", NAMESPACE)

    def log(self, agent: str) -> str:
        return self.kubectl("logs", "-n", NAMESPACE, "-l", f"app.kubernetes.io/name={agent}", "--tail=-1")

    def container(self, pod: str) -> ContainerView:
        environment, devices, mounts = (
            self.kubectl("exec", pod, "--", "sh", "-c", command).splitlines()
            for command in ("env", "find /dev -type c", "cut -d ' ' -f 5 /proc/self/mountinfo")
        )
        return ContainerView(
            environment=dict(line.split("=", 1) for line in environment if "=" in line),
            devices=frozenset(devices),
            mounts=frozenset(mounts),
        )

    def add_node(self, name: str, capacity: Mapping[str, str]) -> None:
        self.cluster.add_node(name, capacity=capacity)

    def set_topology_policy(self, policy: str, *, exclusive_cpus: bool = False) -> None:
        """The policy `none` restores the NUMA nodes of the machine. A kubelet does not start with the state of another CPU policy."""
        self.cluster.stop("kubelet")
        fake_numa_nodes(self.cluster, enabled=policy != "none")
        CPU_STATE.unlink(missing_ok=True)
        file = self.cluster.layout.config("kubelet.json")
        config = {**json.loads(file.read_text()), "topologyManagerPolicy": policy}
        config |= {"cpuManagerPolicy": "static" if exclusive_cpus else "none"}
        config |= {"reservedSystemCPUs": "0" if exclusive_cpus else ""}
        file.write_text(json.dumps(config, indent=2))
        self.cluster.start("kubelet")

    def metrics_address(self) -> str:
        """The pod network is a bridge of this machine."""
        selector = f"app.kubernetes.io/name={EXPORTER}"
        path = "jsonpath={.items[*].status.podIP}"
        (address,) = self.kubectl("get", "pods", "-n", NAMESPACE, "-l", selector, "-o", path).split()
        return f"{address}:9400"

    def fake_driver(self) -> str:
        root = self.cluster.run_dir / "driver"
        if not root.exists():
            make_driver(root, gpus=8)
        return str(root)

    def runtime(self) -> Runtime:
        return RealRuntime(self.cluster)

    def mps_root(self) -> str:
        root = Path(tempfile.mkdtemp(prefix="mps-", dir=self.cluster.run_dir))
        (root / "shm").mkdir()
        return str(root)

    def clean(self) -> None:
        """Also starts components that a failed scenario left stopped."""
        for component in self.cluster.components:
            self.cluster.start(component)
        super().clean()

    def diagnose(self) -> str:
        pods = self.kubectl("get", "pods", "-A", "-o", "wide", check=False)
        events = self.kubectl("get", "events", "--sort-by=.lastTimestamp", check=False).splitlines()[-10:]
        logs = [
            f"{agent}:\n{self.kubectl('logs', '-n', NAMESPACE, f'ds/{agent}', '--tail=8', check=False)}"
            for agent in AGENTS
        ]
        return "\n".join([pods, *events, *logs])

    def _processes(self, program: str) -> list[int]:
        """The processes of a program in pods of this cluster: descendants of the shims of its containerd."""
        shims = read_shims(str(self.cluster.layout.containerd_socket))
        in_pods = select_descendants(read_processes().values(), shims) - shims
        return [pid for pid in in_pods if program in _program(pid)]


def _program(pid: int) -> str:
    """The command line. An agent is a Python interpreter with a script."""
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
