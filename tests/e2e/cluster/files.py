"""Writes the files of the programs of a cluster: certificates, kubeconfigs and configuration."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from tests.e2e.cluster.configs import render_cni, render_containerd, render_kubeconfig, render_kubelet
from tests.e2e.cluster.layout import BRIDGE_ADDRESS, SERVICE_ADDRESS, Layout
from tests.e2e.cluster.pki import Authority, KeyPair, signing_key

SERVICE_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")


def write_files(layout: Layout) -> None:
    """Writes all files. Only their owner can read them, because they contain keys."""
    authority = Authority(datetime.now(UTC))
    _write_pki(layout, authority)
    for file, (user, group) in users(layout.node_name).items():
        pair = authority.client(user, group)
        _write(layout.kubeconfig(file), render_kubeconfig(layout.api_url, authority.certificate, user, pair))
    _write(layout.config("kubelet.json"), render_kubelet(layout))
    _write(layout.config("containerd.toml"), render_containerd(layout))
    _write(layout.config("cni/10-gpunode.conflist"), render_cni(layout))
    for folder in (layout.logs, layout.pids):
        folder.mkdir()


def users(node_name: str) -> dict[str, tuple[str, str | None]]:
    """The user and group of each kubeconfig, as in RBAC's default bindings and the Node authorizer."""
    return {
        "admin": ("gpunode-e2e-admin", "system:masters"),
        "kubelet": (f"system:node:{node_name}", "system:nodes"),
        "kube-controller-manager": ("system:kube-controller-manager", None),
        "kube-scheduler": ("system:kube-scheduler", None),
    }


def write_state(layout: Layout) -> None:
    """Records that the cluster is complete. Written last."""
    _write(layout.state, json.dumps({"binaries": str(layout.binaries), "node_name": layout.node_name}))


def read_state(run_dir: Path) -> Layout | None:
    try:
        state = json.loads((run_dir / "state.json").read_text())
    except FileNotFoundError:
        return None
    return Layout(run_dir=run_dir, binaries=Path(state["binaries"]), node_name=state["node_name"])


def _write_pki(layout: Layout, authority: Authority) -> None:
    api_hosts = (*SERVICE_NAMES, "localhost", "127.0.0.1", SERVICE_ADDRESS, BRIDGE_ADDRESS)
    _write(layout.pki / "ca.crt", authority.certificate)
    _write(layout.pki / "service-accounts.key", signing_key())
    _write_pair(layout.pki / "kube-apiserver", authority.server("kube-apiserver", api_hosts))
    _write_pair(layout.pki / "kubelet", authority.server(layout.node_name, (layout.node_name, BRIDGE_ADDRESS)))
    client = authority.client("kube-apiserver-kubelet-client", "system:masters")
    _write_pair(layout.pki / "kube-apiserver-kubelet-client", client)


def _write_pair(path: Path, pair: KeyPair) -> None:
    _write(path.with_suffix(".crt"), pair.certificate)
    _write(path.with_suffix(".key"), pair.key)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
