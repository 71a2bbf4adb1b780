"""Renders the configuration files of a cluster. PURE."""

import json
from base64 import b64encode
from typing import Any

from tests.e2e.cluster.layout import (
    BRIDGE,
    BRIDGE_ADDRESS,
    KUBELET_HEALTH_PORT,
    KUBELET_PORT,
    POD_SUBNET,
    Layout,
)
from tests.e2e.cluster.pki import KeyPair

CDI_FOLDERS = ("/etc/cdi", "/var/run/cdi")


def render_kubeconfig(url: str, authority: str, user: str, pair: KeyPair) -> str:
    """Renders a kubeconfig as JSON, which is valid YAML."""
    cluster = {"server": url, "certificate-authority-data": _base64(authority)}
    credentials = {"client-certificate-data": _base64(pair.certificate), "client-key-data": _base64(pair.key)}
    return _json(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "gpunode-e2e", "cluster": cluster}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [{"name": "gpunode-e2e", "context": {"cluster": "gpunode-e2e", "user": user}}],
            "current-context": "gpunode-e2e",
        }
    )


def render_kubelet(layout: Layout) -> str:
    """Accepts cgroups v1 and swap, evicts nothing, writes only to its root and the run dir, and does not change iptables."""
    never = ("memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available")
    return _json(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": BRIDGE_ADDRESS,
            "port": KUBELET_PORT,
            "healthzPort": KUBELET_HEALTH_PORT,
            "tlsCertFile": str(layout.pki / "kubelet.crt"),
            "tlsPrivateKeyFile": str(layout.pki / "kubelet.key"),
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(layout.pki / "ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "failCgroupV1": False,
            "failSwapOn": False,
            "enforceNodeAllocatable": [],
            "evictionHard": dict.fromkeys(never, "0%"),
            "imageGCHighThresholdPercent": 100,
            "makeIPTablesUtilChains": False,
            "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
            "podLogsDir": str(layout.run_dir / "pod-logs"),
            "volumePluginDir": str(layout.run_dir / "volume-plugins"),
            "resolvConf": "",
            "oomScoreAdj": 0,
        }
    )


def render_containerd(layout: Layout) -> str:
    """Enables CDI, and disables plugins that write to other folders. `restrict_oom_score_adj`: sandboxes start without CAP_SYS_RESOURCE."""
    folders = json.dumps(CDI_FOLDERS)
    return f"""version = 3
root = "{layout.run_dir}/containerd/root"
state = "{layout.run_dir}/containerd/state"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]

[grpc]
address = "{layout.containerd_socket}"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "gpunode.local/pause:e2e"

[plugins."io.containerd.cri.v1.runtime"]
enable_cdi = true
cdi_spec_dirs = {folders}
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
SystemdCgroup = false

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/usr/lib/cni"]
conf_dir = "{layout.config("cni")}"
"""


def render_cni(layout: Layout) -> str:
    """Connects pods to the bridge. Pods reach only this machine: there is no forwarding and no masquerading."""
    addresses = {
        "type": "host-local",
        "dataDir": str(layout.run_dir / "cni"),
        "ranges": [[{"subnet": POD_SUBNET, "gateway": BRIDGE_ADDRESS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": BRIDGE, "ipam": addresses}
    return _json({"cniVersion": "1.0.0", "name": "gpunode-e2e", "plugins": [bridge]})


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()
