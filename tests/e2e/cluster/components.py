"""The programs of a cluster with their arguments, in the order of their start. PURE."""

import sys
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.cluster.layout import (
    API_PORT,
    BRIDGE_ADDRESS,
    CONTROLLERS_PORT,
    ETCD_PEER_PORT,
    ETCD_PORT,
    KUBELET_HEALTH_PORT,
    SCHEDULER_PORT,
    SERVICE_SUBNET,
    Layout,
)

MOUNTS = "mounts"
"""The process that owns the mount namespace of containerd and the kubelet. Their mounts do not appear on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """health: a URL that returns 200 if the program is ready, or None. in_mounts: run in the mount namespace of MOUNTS."""

    name: str
    command: tuple[str, ...]
    health: str | None = None
    in_mounts: bool = False


def plan_components(layout: Layout) -> dict[str, Component]:
    """Returns the components by name."""
    components = (
        _mounts(),
        _etcd(layout),
        _containerd(layout),
        _api_server(layout),
        _controllers(layout),
        _scheduler(layout),
        _kubelet(layout),
        _keeper(layout),
    )
    return {component.name: component for component in components}


def _mounts() -> Component:
    script = "mount --make-rshared / && exec sleep infinity"
    return Component(name=MOUNTS, command=("unshare", "--mount", "--propagation", "slave", "sh", "-c", script))


def _etcd(layout: Layout) -> Component:
    clients, peers = f"http://127.0.0.1:{ETCD_PORT}", f"http://127.0.0.1:{ETCD_PEER_PORT}"
    return _program(
        layout,
        "etcd",
        f"--data-dir={layout.run_dir}/etcd",
        f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
        "--unsafe-no-fsync",
        health=f"{clients}/health",
    )


def _containerd(layout: Layout) -> Component:
    return _program(layout, "containerd", f"--config={layout.config('containerd.toml')}", in_mounts=True)


def _api_server(layout: Layout) -> Component:
    pki = layout.pki
    return _program(
        layout,
        "kube-apiserver",
        f"--etcd-servers=http://127.0.0.1:{ETCD_PORT}",
        "--bind-address=127.0.0.1",
        f"--secure-port={API_PORT}",
        f"--advertise-address={BRIDGE_ADDRESS}",
        f"--tls-cert-file={pki}/kube-apiserver.crt",
        f"--tls-private-key-file={pki}/kube-apiserver.key",
        f"--client-ca-file={pki}/ca.crt",
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        f"--kubelet-client-certificate={pki}/kube-apiserver-kubelet-client.crt",
        f"--kubelet-client-key={pki}/kube-apiserver-kubelet-client.key",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--service-cluster-ip-range={SERVICE_SUBNET}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki}/service-accounts.key",
        f"--service-account-signing-key-file={pki}/service-accounts.key",
        "--allow-privileged=true",
        health=f"{layout.api_url}/readyz",
    )


def _controllers(layout: Layout) -> Component:
    return _program(
        layout,
        "kube-controller-manager",
        *_as_user(layout, "kube-controller-manager"),
        f"--secure-port={CONTROLLERS_PORT}",
        f"--root-ca-file={layout.pki}/ca.crt",
        f"--service-account-private-key-file={layout.pki}/service-accounts.key",
        "--use-service-account-credentials=true",
        f"--flex-volume-plugin-dir={layout.run_dir}/volume-plugins",
        health=f"https://127.0.0.1:{CONTROLLERS_PORT}/healthz",
    )


def _scheduler(layout: Layout) -> Component:
    return _program(
        layout,
        "kube-scheduler",
        *_as_user(layout, "kube-scheduler"),
        f"--secure-port={SCHEDULER_PORT}",
        health=f"https://127.0.0.1:{SCHEDULER_PORT}/readyz",
    )


def _kubelet(layout: Layout) -> Component:
    return _program(
        layout,
        "kubelet",
        f"--config={layout.config('kubelet.json')}",
        f"--kubeconfig={layout.kubeconfig('kubelet')}",
        f"--hostname-override={layout.node_name}",
        f"--node-ip={BRIDGE_ADDRESS}",
        health=f"http://127.0.0.1:{KUBELET_HEALTH_PORT}/healthz",
        in_mounts=True,
    )


def _keeper(layout: Layout) -> Component:
    """Renews the leases of Nodes without a kubelet."""
    return Component(
        name="node-keeper",
        command=(sys.executable, "-m", "tests.e2e.cluster.keeper", str(layout.kubeconfig("admin"))),
    )


def _as_user(layout: Layout, user: str) -> tuple[str, ...]:
    """One replica needs no leader election, and restarts faster without. No client authenticates at its own port."""
    return (
        f"--kubeconfig={layout.kubeconfig(user)}",
        "--authentication-skip-lookup=true",
        "--bind-address=127.0.0.1",
        f"--cert-dir={layout.run_dir}/{user}",
        "--leader-elect=false",
    )


def _program(layout: Layout, name: str, *flags: str, health: str | None = None, in_mounts: bool = False) -> Component:
    return Component(name=name, command=(str(layout.binaries / name), *flags), health=health, in_mounts=in_mounts)


def command_line(component: Component, mounts: int | None) -> tuple[str, ...]:
    """Returns the command line. mounts: the PID of the process that owns the mount namespace."""
    if not component.in_mounts:
        return component.command
    if mounts is None:
        raise ValueError(f"{component.name} needs a mount namespace")
    return ("nsenter", f"--mount={Path('/proc') / str(mounts) / 'ns/mnt'}", "--", *component.command)
