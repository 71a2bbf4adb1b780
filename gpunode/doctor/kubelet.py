"""Checks the kubelet's device-plugins folder and the sockets in the folder."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from device_plugin.plugin import socket_path
from gpu_core.domain.node_assessment import Reason
from gpu_core.domain.resources import ResourceName
from gpunode.doctor.check import Check, ok, problem
from node_core.grpc_h2.status import CallError
from node_core.kubelet.client import PluginClient
from node_core.kubelet.sockets import is_served

ROOT = "run doctor as root, or in the pod of gpu-device-plugin"
FOLDER = "check that the folder is mounted (kubeletRootDir of the chart), and that --kubelet-socket names the folder of this kubelet"


def check_kubelet(socket: Path, *, writes: bool) -> Iterator[Check]:
    """socket: of the kubelet. writes: this process has the mounts and rights of the plugin, which creates sockets in the folder."""
    folder = socket.parent
    try:
        has_folder, has_socket = folder.is_dir(), socket.exists()
    except OSError as error:
        yield _problem("kubelet", f"cannot read {folder}: {error.strerror}", ROOT)
        return
    if not has_folder:
        yield _problem("kubelet", f"the kubelet's folder {folder} does not exist", FOLDER)
    elif not has_socket:
        todo = f"check that the kubelet runs (systemctl status kubelet). If it runs, {FOLDER}"
        yield _problem("kubelet", f"the kubelet's socket {socket} does not exist", todo)
    elif not os.access(socket, os.W_OK):
        yield _problem("kubelet", f"this user may not connect to {socket}", ROOT)
    elif not is_served(socket):
        todo = "restart the kubelet (systemctl restart kubelet)"
        yield _problem("kubelet", f"no process listens on the kubelet's socket {socket}", todo)
    elif writes and not os.access(folder, os.W_OK):
        todo = "mount the folder without readOnly"
        yield _problem(
            "kubelet", f"the plugin cannot create sockets in {folder}, because the folder is read-only", todo
        )
    else:
        yield ok("kubelet", f"the kubelet listens on {socket}")


def check_plugin_sockets(folder: Path, resources: Collection[ResourceName]) -> Iterator[Check]:
    """Calls the plugin's socket of each resource as the kubelet does."""
    for resource in resources:
        path = socket_path(folder, resource)
        todo = "read the log of gpu-device-plugin: the event resource_not_served states the reason"
        if not path.exists():
            yield _problem("plugin socket", f"gpu-device-plugin does not serve {resource}: {path} does not exist", todo)
            continue
        try:
            with PluginClient(path) as client:
                client.options()
        except CallError as error:
            yield _problem("plugin socket", f"{path} does not respond: {error.message}", todo)
        else:
            yield ok("plugin socket", f"gpu-device-plugin serves {resource} at {path}")


def _problem(name: str, sentence: str, todo: str) -> Check:
    return problem(name, sentence, todo, reason=str(Reason.NOT_REGISTERED))
