"""Reads the DaemonSets of the agents, and of programs that do the same, and their pods on each Node."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from gpunode.cluster.lists import Kind, list_pages
from gpunode.cluster.objects import render_selector
from gpunode.doctor.check import Check, note
from gpunode.doctor.objects import DaemonSet, ProgramPod
from gpunode.doctor.pod_check import check_pod
from gpunode.doctor.programs import Program, recognize_program
from gpunode.doctor.remote_checks import NO_PODS, Deployment, NodePods
from node_core.errors import KubeError
from node_core.kube.http import ApiClient

DAEMON_SETS = Kind(path="/apis/apps/v1/daemonsets", name="daemonsets.apps")
ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """pods: the name of a Node -> its pods. notes: what could not be read."""

    deployment: Deployment
    pods: Mapping[str, NodePods] = field(default_factory=dict)
    notes: tuple[Check, ...] = ()

    def pods_on(self, node: str) -> NodePods:
        return self.pods.get(node, NO_PODS)


def read_deployed(api: ApiClient, wall: float, *, node: str = "") -> Deployed:
    """node: read the pods of this Node only. A missing right is a note. Raises KubeError for other failures.

    The memory grows with the number of Nodes: of each pod, its name and one check remain.
    """
    try:
        programs = tuple(_read_programs(api))
        pods: dict[str, NodePods] = {}
        for program in programs:
            for pod in _read_pods(api, program, node):
                pods[pod.target] = _add(pods.get(pod.target, NO_PODS), program, pod, wall)
    except KubeError as error:
        if error.status != 403:
            raise
        refused = note("agent", f"the pods of the agents are not checked: {error}")
        return Deployed(deployment=Deployment(is_known=False), notes=(refused,))
    return Deployed(deployment=Deployment(programs=programs), pods=pods)


def _read_programs(api: ApiClient) -> Iterator[Program]:
    for page in list_pages(api, DAEMON_SETS, DaemonSet):
        yield from (program for each in page if (program := recognize_program(each)) is not None)


def _read_pods(api: ApiClient, program: Program, node: str) -> Iterator[ProgramPod]:
    """Yields the pods of one Node, or of all Nodes. A pod that is not scheduled yet has no spec.nodeName."""
    namespace = quote(program.daemon_set.metadata.namespace, safe="")
    kind = Kind(path=f"/api/v1/namespaces/{namespace}/pods", name="pods")
    labels = {"labelSelector": render_selector(program.daemon_set.spec.selector)}
    places = [f"spec.nodeName={node}", "spec.nodeName="] if node else [""]
    for fields in ({"fieldSelector": place} if place else {} for place in places):
        for page in list_pages(api, kind, ProgramPod, labels | fields):
            current = (pod for pod in page if pod.status.phase not in ENDED)
            yield from (pod for pod in current if (pod.target == node if node else pod.target))


def _add(before: NodePods, program: Program, pod: ProgramPod, wall: float) -> NodePods:
    checks = (check_pod(pod, program.agents, wall),) if program.has_agents else ()
    return NodePods(
        checks=(*before.checks, *checks),
        names={**before.names, program.key: pod.metadata.name},
        running=before.running | ({program.key} if pod.is_running else frozenset()),
    )
