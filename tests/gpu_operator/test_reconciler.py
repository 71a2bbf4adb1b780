"""One pass with all writes, against Nodes that refuse a write for an old version."""

from typing import Any

from gpu_operator.agent import Reconciler
from gpu_operator.cluster.writer import ClusterWriter
from gpu_operator.upgrade.keys import CORDONED, PROGRESS, STATE
from gpu_operator.view import OWNER, ClusterView, Obj
from node_core.errors import KubeError
from node_core.runtime.services import Services
from tests.gpu_operator.clusters import IMAGES, NAMESPACE, node


class NodeApi:
    """One Node."""

    def __init__(self, obj: Obj) -> None:
        metadata = obj["metadata"]
        self.version = int(metadata["resourceVersion"])
        self.values: dict[str, Any] = {**metadata["labels"], **metadata["annotations"], **obj["spec"]}

    def request(self, verb: str, path: str, *, body: Any = None, **_: Any) -> Obj:
        if not path.startswith("/api/v1/nodes/"):
            return {"items": []}
        metadata = body["metadata"]
        if metadata.get("resourceVersion", str(self.version)) != str(self.version):
            raise KubeError("the Node has changed", status=409)
        self.version += 1
        for part in (metadata.get("labels", {}), metadata.get("annotations", {}), body.get("spec", {})):
            self.values |= part
        return {}


def test_the_pass_after_the_deletion_of_a_driver_removes_everything_from_its_nodes() -> None:
    """The controller may be deleted before the next pass."""
    own = node("a", {OWNER: "default", STATE: "drain-required"})
    annotations = {CORDONED: "true", PROGRESS: "drain-required 1 r"}
    metadata = {**own["metadata"], "resourceVersion": "7", "annotations": annotations}
    own = {**own, "metadata": metadata, "spec": {"unschedulable": True}}
    fake = NodeApi(own)
    api: Any = fake
    writer = ClusterWriter(api, Services(), on_unknown=lambda: None, record=lambda _: None)
    reconciler = Reconciler(Services(), api=api, writer=writer, namespace=NAMESPACE, images=IMAGES)
    assert reconciler.run(ClusterView(nodes={"a": own})).is_complete
    left = {key for key in (OWNER, STATE, CORDONED, PROGRESS, "unschedulable") if fake.values.get(key)}
    assert left == set()
