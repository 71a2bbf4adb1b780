"""The volumes of a driver pod, and where they are mounted. PURE.

Source: the paths that NVIDIA's driver containers document: the driver is at /run/nvidia/driver of the host, so the mount of /run/nvidia is
shared with the host.
"""

from collections.abc import Mapping
from typing import Any

from gpu_operator.spec import DriverSpec

RUN_NVIDIA = "/run/nvidia"
_HOST_TO_CONTAINER, _BIDIRECTIONAL = "HostToContainer", "Bidirectional"
_REPO_FOLDERS = {
    "ubuntu": "/etc/apt/sources.list.d", "debian": "/etc/apt/sources.list.d",
    "rhel": "/etc/yum.repos.d", "rhcos": "/etc/yum.repos.d", "rocky": "/etc/yum.repos.d", "ol": "/etc/yum.repos.d",
    "sles": "/etc/zypp/repos.d", "sl-micro": "/etc/zypp/repos.d",
}  # fmt: skip
_CERT_FOLDERS = {
    "ubuntu": "/usr/local/share/ca-certificates", "debian": "/usr/local/share/ca-certificates",
    "rhel": "/etc/pki/ca-trust/extracted/pem", "rhcos": "/etc/pki/ca-trust/extracted/pem",
    "rocky": "/etc/pki/ca-trust/extracted/pem", "ol": "/etc/pki/ca-trust/extracted/pem",
    "sles": "/etc/pki/trust/anchors", "sl-micro": "/etc/pki/trust/anchors",
}  # fmt: skip

Volume = dict[str, Any]


def _host(name: str, path: str, kind: str = "") -> Volume:
    return {"name": name, "hostPath": {"path": path, **({"type": kind} if kind else {})}}


_NEW = "DirectoryOrCreate"
HOST_VOLUMES: tuple[Volume, ...] = (
    _host("run-nvidia", RUN_NVIDIA, _NEW),
    _host("run-gpunode", "/run/gpunode", _NEW),
    _host("run-nvidia-fabricmanager", "/run/nvidia-fabricmanager", _NEW),
    _host("run-nvidia-topologyd", "/run/nvidia-topologyd", _NEW),
    _host("var-log", "/var/log"),
    _host("dev-log", "/dev/log"),
    _host("host-os-release", "/etc/os-release"),
    _host("host-root", "/"),
    _host("host-sys", "/sys", "Directory"),
    _host("mlnx-ofed-usr-src", "/run/mellanox/drivers/usr/src", _NEW),
    _host("run-mellanox-drivers", "/run/mellanox/drivers", _NEW),
    _host("firmware-search-path", "/sys/module/firmware_class/parameters/path"),
    _host("nv-firmware", "/run/nvidia/driver/lib/firmware", _NEW),
)


def _mount(name: str, path: str, propagation: str = "", *, is_read_only: bool = False) -> Volume:
    shared = {"mountPropagation": propagation} if propagation else {}
    return {"name": name, "mountPath": path, **shared, **({"readOnly": True} if is_read_only else {})}


DRIVER_MOUNTS: tuple[Volume, ...] = (
    _mount("run-nvidia", RUN_NVIDIA, _BIDIRECTIONAL),
    _mount("run-nvidia-fabricmanager", "/run/nvidia-fabricmanager"),
    _mount("run-nvidia-topologyd", "/run/nvidia-topologyd"),
    _mount("var-log", "/var/log"),
    _mount("dev-log", "/dev/log"),
    _mount("host-os-release", "/host-etc/os-release", is_read_only=True),
    _mount("mlnx-ofed-usr-src", "/run/mellanox/drivers/usr/src", _HOST_TO_CONTAINER),
    _mount("run-mellanox-drivers", "/run/mellanox/drivers", _HOST_TO_CONTAINER),
    _mount("firmware-search-path", "/sys/module/firmware_class/parameters/path"),
    _mount("nv-firmware", "/lib/firmware"),
)
MANAGER_MOUNTS: tuple[Volume, ...] = (
    _mount("run-nvidia", RUN_NVIDIA, _BIDIRECTIONAL),
    _mount("host-root", "/host", _HOST_TO_CONTAINER, is_read_only=True),
    _mount("host-sys", "/sys"),
    _mount("run-gpunode", "/run/gpunode"),
)
"""/run/gpunode: the init container asks the agents of the node to close NVML."""


def config_volumes(spec: DriverSpec) -> tuple[Volume, ...]:
    """Returns the volumes of the ConfigMaps that the spec names."""
    return tuple({"name": volume, "configMap": {"name": name}} for volume, name in _configs(spec).items())


def config_mounts(spec: DriverSpec, os_id: str) -> tuple[Volume, ...]:
    """Returns the mounts of the ConfigMaps. os_id: decides where package repositories and certificates are."""
    folders = {
        "kernel-module-params": "/drivers",
        "repo-config": _REPO_FOLDERS.get(os_id, "/etc/apt/sources.list.d"),
        "cert-config": _CERT_FOLDERS.get(os_id, "/usr/local/share/ca-certificates"),
    }
    return tuple(_mount(volume, folders[volume], is_read_only=True) for volume in _configs(spec))


def _configs(spec: DriverSpec) -> Mapping[str, str]:
    """Returns volume -> name of the ConfigMap."""
    named = {
        "kernel-module-params": spec.kernel_module_config.name,
        "repo-config": spec.repo_config.name,
        "cert-config": spec.cert_config.name,
    }
    return {volume: name for volume, name in named.items() if name}
