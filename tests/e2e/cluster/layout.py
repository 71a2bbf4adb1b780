"""The files and addresses of a cluster. All addresses are local."""

from dataclasses import dataclass
from pathlib import Path

RUN_DIR = Path("/var/lib/gpunode-e2e")
NODE_NAME = "gpunode-e2e"

BRIDGE = "gpunode0"
BRIDGE_ADDRESS = "10.244.0.1"
"""Also the address of the Node. A kubelet refuses loopback addresses. Other machines cannot reach a bridge without a port."""
POD_SUBNET = "10.244.0.0/24"
SERVICE_SUBNET = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"
"""The address of the Service kubernetes.default.svc."""

API_PORT = 16443
ETCD_PORT = 12379
ETCD_PEER_PORT = 12380
KUBELET_PORT = 20250
KUBELET_HEALTH_PORT = 20248
CONTROLLERS_PORT = 20257
SCHEDULER_PORT = 20259


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The paths of one cluster. run_dir: the folder of all files that the cluster writes. binaries: the folder of the Go programs."""

    run_dir: Path
    binaries: Path
    node_name: str = NODE_NAME

    @property
    def api_url(self) -> str:
        return f"https://127.0.0.1:{API_PORT}"

    @property
    def state(self) -> Path:
        return self.run_dir / "state.json"

    @property
    def pki(self) -> Path:
        return self.run_dir / "pki"

    @property
    def logs(self) -> Path:
        return self.run_dir / "logs"

    @property
    def pids(self) -> Path:
        return self.run_dir / "pids"

    @property
    def containerd_socket(self) -> Path:
        return self.run_dir / "containerd.sock"

    def kubeconfig(self, user: str) -> Path:
        return self.run_dir / f"{user}.kubeconfig"

    def config(self, name: str) -> Path:
        return self.run_dir / "etc" / name

    def log(self, component: str) -> Path:
        return self.logs / f"{component}.log"

    def pid(self, component: str) -> Path:
        return self.pids / component
