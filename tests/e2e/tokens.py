"""Tokens as a kubelet gives them to pods: bound to a Pod, and so to its Node."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.e2e.cluster import Cluster
from tests.e2e.cluster.image import TEST_IMAGE

NAMESPACE = "gpunode"


def add_pod(cluster: Cluster, account: str, node: str) -> str:
    """The name of a Pod of this account that is bound to this Node; nothing has to run it."""
    name = f"{account}-{node}"
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "serviceAccountName": account,
            "nodeName": node,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": TEST_IMAGE, "imagePullPolicy": "Never"}],
        },
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    return name


def request_token(cluster: Cluster, account: str, *bound: str) -> str:
    """bound: flags of `kubectl create token` that say to what."""
    return cluster.kubectl("create", "token", account, "-n", NAMESPACE, *bound).strip()


def write_kubeconfig(cluster: Cluster, file: Path, token: str) -> Path:
    """For whoever has this token and nothing else."""
    config: Mapping[str, Any] = json.loads(cluster.kubeconfig.read_text())
    (context,) = config["contexts"]
    file.write_text(json.dumps({**config, "users": [{"name": context["context"]["user"], "user": {"token": token}}]}))
    return file
