"""Checks the kubelet's part of Dynamic Resource Allocation, and calls the sockets of the driver as the kubelet does.

A call without claims prepares nothing. Source: Kubernetes, pkg/kubelet/pluginmanager and pkg/kubelet/cm/dra.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from dra_driver.names import DRIVER
from gpunode.doctor.check import Check, note, ok, problem
from gpunode.doctor.dra.presence import DraNode
from node_core.grpc_h2.client import Client
from node_core.grpc_h2.status import CallError
from node_core.kube.resource_claims import NO_DRA_HINT
from node_core.kubelet import dra_pb2 as pb
from node_core.kubelet import plugin_registration_pb2 as registration
from node_core.kubelet.rpc import call
from node_core.scheduling.objects import Node

CHECKPOINT = "dra_manager_state"
"""The kubelet's record of claims, in its root directory. A kubelet with Dynamic Resource Allocation creates it at its start."""
SERVICES = ("v1.DRAPlugin", "v1beta1.DRAPlugin")
FIRST_MINOR = 32
TIMEOUT = 10.0
_VERSION = re.compile(r"v1\.(\d+)\b")
LOG = "read the log of gpu-dra-driver: the event not_ready states why a socket is not served"


def check_kubelet_dra(dra: DraNode, node: Node | None) -> Iterator[Check]:
    """Checks that the kubelet registers drivers and records claims. node: None if it was not read."""
    version = node.status.node_info.kubelet_version if node is not None else ""
    found = _VERSION.match(version)
    if found is not None and int(found[1]) < FIRST_MINOR:
        yield problem(
            "kubelet dra",
            f"the kubelet {version} has no Dynamic Resource Allocation that gpu-dra-driver supports",
            NO_DRA_HINT,
        )
        return
    root, registry = dra.paths.registry.parent, dra.paths.registry
    if dra.unread is not None:
        yield note("kubelet dra", f"unknown: {dra.unread}")
    elif not registry.is_dir():
        todo = "check that the kubelet runs (systemctl status kubelet), and that --kubelet-root of gpu-dra-driver is its root directory"
        yield problem(
            "kubelet dra", f"the folder {registry}, in which the kubelet discovers drivers, does not exist", todo
        )
    elif (root / CHECKPOINT).exists():
        yield ok(
            "kubelet dra", f"the kubelet discovers drivers in {registry}, and records claims in {root / CHECKPOINT}"
        )
    elif (root / "pods").is_dir():
        sentence = f"the kubelet does not record claims: {root / CHECKPOINT} does not exist, so Dynamic Resource Allocation is off"
        yield problem("kubelet dra", sentence, NO_DRA_HINT)
    else:
        sentence = f"unknown whether the kubelet records claims: {root} is not its root directory here. Run doctor as root on the host"
        yield note("kubelet dra", sentence)


def check_registrations(dra: DraNode) -> Iterator[Check]:
    """Calls each registration socket, and the socket that it names."""
    if dra.unread is not None:
        yield note("registration", f"unknown: {dra.unread}")
        return
    if not dra.registrations:
        sentence = f"{dra.paths.registry} has no socket of {DRIVER}, so the kubelet does not find gpu-dra-driver"
        if dra.state.is_running is not False:
            todo = f"check that --kubelet-root of gpu-dra-driver is the root directory of the kubelet; {LOG}"
            yield problem("registration", sentence, todo)
        return
    results = [_call(path) for path in dra.registrations]
    has_served = any(each.status == "ok" for each in results)
    for path, each in zip(dra.registrations, results, strict=True):
        if each.status == "problem" and has_served:
            yield note(
                "registration", f"{each.sentence}: it is of another process of gpu-dra-driver, and a newer one responds"
            )
        elif each.status == "problem" and dra.state.is_running is False:
            yield note("registration", f"{path} is of a process that has ended")
        else:
            yield each


def _call(path: Path) -> Check:
    if not os.access(path, os.W_OK):
        return note("registration", f"unknown: this user may not connect to {path}. Run doctor as root")
    try:
        with Client(path) as client:
            method = "/pluginregistration.Registration/GetInfo"
            info = call(client, method, registration.InfoRequest(), registration.PluginInfo, timeout=TIMEOUT)
    except CallError as error:
        return problem("registration", f"{path} does not respond: {error.message}", LOG)
    if (info.type, info.name) != ("DRAPlugin", DRIVER):
        todo = "remove the other program from this node: the kubelet would register it in place of gpu-dra-driver"
        return problem("registration", f"the program at {path} is {info.name} ({info.type}), and not {DRIVER}", todo)
    service = next((each for each in SERVICES if each in info.supported_versions), SERVICES[-1])
    try:
        with Client(Path(info.endpoint)) as client:
            method = f"/k8s.io.kubelet.pkg.apis.dra.{service}/NodePrepareResources"
            request = pb.NodePrepareResourcesRequest()
            call(client, method, request, pb.NodePrepareResourcesResponse, timeout=TIMEOUT)
    except CallError as error:
        sentence = f"the socket {info.endpoint}, which {path} names, does not respond: {error.message}"
        return problem("registration", sentence, f"restart gpu-dra-driver on this node. Before, {LOG}")
    return ok("registration", f"gpu-dra-driver responds at {path} and at {info.endpoint}")
