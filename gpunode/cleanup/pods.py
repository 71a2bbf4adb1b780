"""Which pods of ours are still on our Node: some that run without a lock would put back what is taken away."""

from urllib.parse import quote

from node_core.kube.client import NodeApi

OURS = "app.kubernetes.io/part-of=gpunode,app.kubernetes.io/name!=gpunode-cleanup"
"""The labels of agents' pods, as the manifests have them."""
ENDED = frozenset({"Succeeded", "Failed"})


def read_agents(api: NodeApi, namespace: str) -> tuple[str, ...]:
    """Their names, also of those that are about to end. Raises KubeError."""
    query = {"fieldSelector": f"spec.nodeName={api.node_name}", "labelSelector": OURS}
    found = api.request("GET", f"/api/v1/namespaces/{quote(namespace, safe='')}/pods", query=query)
    pods = [pod for pod in found.get("items") or () if (pod.get("status") or {}).get("phase") not in ENDED]
    return tuple(sorted(pod["metadata"]["name"] for pod in pods))
