"""Service account tokens that are bound to a Pod and its Node, as the kubelet requests them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.e2e.cluster import Cluster
from tests.e2e.cluster.image import TEST_IMAGE

NAMESPACE = "gpunode"


def add_pod(cluster: Cluster, account: str, node: str) -> str:
    """Creates a Pod with this account on this Node and returns its name. The Pod does not have to run."""
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
    """bound: flags of `kubectl create token` that bind the token to an object."""
    return cluster.kubectl("create", "token", account, "-n", NAMESPACE, *bound).strip()


def write_kubeconfig(cluster: Cluster, file: Path, token: str) -> Path:
    """Writes a kubeconfig with this token and no other credentials."""
    config: Mapping[str, Any] = json.loads(cluster.kubeconfig.read_text())
    (context,) = config["contexts"]
    file.write_text(json.dumps({**config, "users": [{"name": context["context"]["user"], "user": {"token": token}}]}))
    return file
