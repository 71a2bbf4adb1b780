"""Diagnoses one Node from outside, through the person's kubeconfig. Sends only read requests."""

from collections.abc import Iterator

from gpunode.cluster.connection import Connection
from gpunode.cluster.events import list_events
from gpunode.cluster.names import read_node
from gpunode.doctor.check import Check, note
from gpunode.doctor.deployed import Deployed, read_deployed
from gpunode.doctor.metrics import check_metrics
from gpunode.doctor.remote_checks import diagnose_node
from gpunode.doctor.report import Report
from gpunode.output.age import render_age
from gpunode.output.terminal import show_progress
from node_core.errors import KubeError
from node_core.kube.http import ApiClient
from node_core.scheduling.objects import Event, Node

MAX_EVENTS = 5
OF_GPUS = "GPU"
"""Events of gpu-device-plugin have reasons that begin so. They are shown also if they are no warnings, for example GPURecovered."""


def diagnose_remote(connection: Connection, name: str, wall: float) -> Report:
    """wall: Unix seconds. Raises NodeError, also if the Node does not exist."""
    api = connection.api
    with show_progress(f"Reading the Node {name}"):
        node = read_node(api, name, Node)
        deployed = read_deployed(api, wall, node=name)
        diagnosis = diagnose_node(node, deployed.deployment, deployed.pods_on(name), wall)
        checks = (
            *diagnosis.checks,
            *deployed.notes,
            *_check_metrics(api, deployed, node),
            *_check_events(api, name, wall),
        )
    return Report(checks=checks, has_gpus=diagnosis.has_gpus, node=diagnosis.facts, software=describe_software(node))


def describe_software(node: Node) -> str:
    """Returns the versions of kubelet, container runtime, kernel and system."""
    info = node.status.node_info
    named = (f"kubelet {info.kubelet_version}" if info.kubelet_version else "", info.container_runtime_version)
    return ", ".join(filter(None, (*named, info.kernel_version, info.os_image)))


def check_events(events: tuple[Event, ...], wall: float) -> Iterator[Check]:
    """events: of the Node, the newest first. PURE."""
    shown = [each for each in events if each.type == "Warning" or each.reason.startswith(OF_GPUS)]
    for each in shown[:MAX_EVENTS]:
        times = f", {each.times} times" if each.times > 1 else ""
        message = " ".join(each.message.split())
        yield note("events", f"{each.reason}, {render_age(each.last_seen, wall)} ago{times}: {message}")
    if (more := len(shown) - MAX_EVENTS) > 0:
        yield note("events", f"{more} older Events")


def _check_events(api: ApiClient, name: str, wall: float) -> Iterator[Check]:
    try:
        yield from check_events(list_events(api, "Node", name), wall)
    except KubeError as error:
        if error.status != 403:
            raise
        yield note("events", f"the Events of the Node are not read: {error}")


def _check_metrics(api: ApiClient, deployed: Deployed, node: Node) -> Iterator[Check]:
    """A request to a pod of a Node that is not Ready would wait for a response until its timeout."""
    ready, pods = node.condition("Ready"), deployed.pods_on(node.name)
    if ready is None or ready.status == "True":
        running = {key: pod for key, pod in pods.names.items() if key in pods.running}
        yield from check_metrics(api, running, deployed.deployment.programs)
