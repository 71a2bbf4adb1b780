"""Lists the agents' pods on the Node. Agents in pods have no lock on the node, and would write again what cleanup removes."""

from urllib.parse import quote

from node_core.kube.client import NodeApi

AGENT_PODS = "app.kubernetes.io/part-of=gpunode,app.kubernetes.io/name!=gpunode-cleanup"
"""The label selector of the agents' pods. The manifests set these labels."""
ENDED = frozenset({"Succeeded", "Failed"})


def list_agent_pods(api: NodeApi, namespace: str) -> tuple[str, ...]:
    """The names of the pods, including terminating pods. Raises KubeError."""
    query = {"fieldSelector": f"spec.nodeName={api.node_name}", "labelSelector": AGENT_PODS}
    response = api.request("GET", f"/api/v1/namespaces/{quote(namespace, safe='')}/pods", query=query)
    pods = [pod for pod in response.get("items") or () if (pod.get("status") or {}).get("phase") not in ENDED]
    return tuple(sorted(pod["metadata"]["name"] for pod in pods))
