"""Renders the objects that scenarios apply. PURE."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.e2e.cluster.image import TEST_IMAGE

Obj = dict[str, Any]

WAIT = "trap 'exit 0' TERM; sleep 100000 & wait"
"""Ends at once at SIGTERM. PID 1 ignores SIGTERM unless it has a trap."""


def pod(
    name: str,
    limits: Mapping[str, int] | None = None,
    *,
    selector: Mapping[str, str] | None = None,
    tolerations: Sequence[Mapping[str, str]] = (),
) -> Obj:
    """A Pod with one container, `main`, that waits. limits: extended resources."""
    container = {
        "name": "main",
        "image": TEST_IMAGE,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", WAIT],
        "resources": {"limits": {resource: str(amount) for resource, amount in (limits or {}).items()}},
    }
    spec = {
        "nodeSelector": dict(selector or {}),
        "tolerations": list(tolerations),
        "terminationGracePeriodSeconds": 5,
        "containers": [container],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def daemon_set(name: str, *, selector: Mapping[str, str]) -> Obj:
    """A DaemonSet with the container of `pod`. selector: labels of Nodes."""
    template = pod(name, selector=selector)
    labels = {"app": name}
    spec = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": template["spec"]},
    }
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": template["metadata"], "spec": spec}


def custom(kind: str, name: str, spec: Obj, **metadata: Any) -> Obj:
    """An object of Node Feature Discovery's API."""
    return {
        "apiVersion": "nfd.k8s-sigs.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, **metadata},
        "spec": spec,
    }
