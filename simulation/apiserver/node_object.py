"""The Node object that a kubelet on this machine would register. Source: Kubernetes API reference, Node; /proc and os-release(5)."""

import os
import platform
import re
from collections.abc import Mapping

from node_core.host.root import HostRoot
from simulation.apiserver.status import Obj

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
KUBELET_VERSION = "v1.34.0+gpunode-simulated"


def make_node(name: str, labels: Mapping[str, str], *, host: HostRoot, now: str) -> Obj:
    """Returns a Ready Node with the CPUs, the memory, the kernel and the system of this machine. now: RFC 3339, for the conditions."""
    architecture = _ARCHITECTURES.get(platform.machine(), platform.machine())
    standard = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/arch": architecture,
        "kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": architecture,
        "beta.kubernetes.io/os": "linux",
    }
    resources = {"cpu": str(os.cpu_count() or 1), "memory": f"{_memory_kib(host)}Ki", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": standard | dict(labels), "annotations": {"gpunode/simulated": "true"}},
        "spec": {},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": name}],
            "capacity": dict(resources),
            "allocatable": dict(resources),
            "conditions": _conditions(now),
            "nodeInfo": _node_info(host, architecture),
        },
    }


def make_lease(name: str, *, now: str) -> Obj:
    """Returns the Lease of the kubelet's heartbeat, for kube-node-lease."""
    spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now.replace("Z", ".000000Z")}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec}


def _conditions(now: str) -> list[Obj]:
    pressure = {
        "MemoryPressure": ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        "DiskPressure": ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        "PIDPressure": ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    }
    ready = ("Ready", "True", "KubeletReady", "the kubelet simulated by gpunode is ready")
    rows = [(name, "False", *why) for name, why in pressure.items()] + [ready]
    return [
        {
            "type": name,
            "status": status,
            "reason": reason,
            "message": message,
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }
        for name, status, reason, message in rows
    ]


def _node_info(host: HostRoot, architecture: str) -> Obj:
    return {
        "architecture": architecture,
        "bootID": host.text("/proc/sys/kernel/random/boot_id") or "",
        "containerRuntimeVersion": "simulated://0",
        "kernelVersion": host.text("/proc/sys/kernel/osrelease") or platform.release(),
        "kubeProxyVersion": "",
        "kubeletVersion": KUBELET_VERSION,
        "machineID": host.text("/etc/machine-id") or "",
        "operatingSystem": "linux",
        "osImage": _os_image(host.text("/etc/os-release") or ""),
        "systemUUID": "",
    }


def _memory_kib(host: HostRoot) -> int:
    match = re.search(r"^MemTotal:\s+(\d+) kB", host.text("/proc/meminfo") or "", re.MULTILINE)
    return int(match[1]) if match else 1 << 20


def _os_image(os_release: str) -> str:
    match = re.search(r'^PRETTY_NAME="?([^"\n]*)"?', os_release, re.MULTILINE)
    return match[1] if match else "Linux"
