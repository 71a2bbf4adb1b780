"""The DaemonSet of a pool. PURE."""

import hashlib
import json
from typing import Any

from gpu_operator.plan.pools import NodePool
from gpu_operator.render.pod import OperatorImages, pod_labels, render_template, selector_labels
from gpu_operator.spec import API_VERSION, KIND, DriverSpec
from gpu_operator.view import Obj, annotations_of
from node_core.values import replace

HASH = "nvidia.com/last-applied-hash"
"""Annotation: the hash of the DaemonSet as it was applied. Equal hashes need no write."""
PART_OF = {"app.kubernetes.io/part-of": "gpunode", "app.kubernetes.io/managed-by": "gpu-operator"}


def render_daemon_set(
    name: str, namespace: str, spec: DriverSpec, pool: NodePool, *, driver_uid: str, images: OperatorImages
) -> dict[str, Any]:
    """Renders the DaemonSet for a server-side apply. driver_uid: of the NVIDIADriver, whose deletion deletes the DaemonSet.

    A new image of gpu-operator alone changes no hash, and so makes no driver pod outdated. The next change of the driver brings the image.
    """
    content = _render(name, namespace, spec, pool, driver_uid=driver_uid, images=images)
    lasting = _render(name, namespace, spec, pool, driver_uid=driver_uid, images=replace(images, manager=""))
    digest = hashlib.sha256(json.dumps(lasting, sort_keys=True).encode()).hexdigest()[:16]
    content["metadata"]["annotations"] = {**spec.annotations, HASH: digest}
    return content


def _render(
    name: str, namespace: str, spec: DriverSpec, pool: NodePool, *, driver_uid: str, images: OperatorImages
) -> dict[str, Any]:
    owner = {"apiVersion": API_VERSION, "kind": KIND, "name": pool.driver, "uid": driver_uid, "controller": True}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {**spec.labels, **pod_labels(name, spec, pool), **PART_OF},
            "ownerReferences": [{**owner, "blockOwnerDeletion": False}],
        },
        "spec": {
            "selector": {"matchLabels": selector_labels(name)},
            "updateStrategy": {"type": "OnDelete"},
            "template": render_template(name, spec, pool, images),
        },
    }


def is_applied(desired: Obj, observed: Obj | None) -> bool:
    """True if the DaemonSet was applied in this form, or is being deleted: after its end, it is created again."""
    if observed is None:
        return False
    if observed["metadata"].get("deletionTimestamp"):
        return True
    return annotations_of(observed).get(HASH) == annotations_of(desired)[HASH]
