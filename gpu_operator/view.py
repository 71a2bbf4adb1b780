"""What the controller knows about the cluster at one moment. PURE."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

Obj = Mapping[str, Any]
"""The JSON of an object of the API, without metadata.managedFields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterView:
    """nodes, drivers: by name. drivers are NVIDIADriver objects. The others are by `namespace/name`.

    nodes: all Nodes, without status.images. daemon_sets: the DaemonSets of drivers, and controller_revisions: their ControllerRevisions.
    pods: the pods of drivers, and all pods of the Nodes that the upgrade works on (see `upgrading_nodes`). All in the operator's namespace,
    except for the other pods of the Nodes. claimants: `namespace/name` of those pods that have GPUs by ResourceClaims.
    """

    nodes: Mapping[str, Obj] = field(default_factory=dict)
    drivers: Mapping[str, Obj] = field(default_factory=dict)
    daemon_sets: Mapping[str, Obj] = field(default_factory=dict)
    pods: Mapping[str, Obj] = field(default_factory=dict)
    controller_revisions: Mapping[str, Obj] = field(default_factory=dict)
    claimants: Collection[str] = ()


def labels_of(obj: Obj) -> Mapping[str, str]:
    """Returns the labels of an object; an empty mapping if it has none."""
    return obj.get("metadata", {}).get("labels") or {}


def annotations_of(obj: Obj) -> Mapping[str, str]:
    """Returns the annotations of an object; an empty mapping if it has none."""
    return obj.get("metadata", {}).get("annotations") or {}


def owner_uid(obj: Obj) -> str | None:
    """Returns the uid of the controller of an object. None: the object has no controller; of a driver pod, its DaemonSet was replaced."""
    owners = obj.get("metadata", {}).get("ownerReferences") or ()
    return next((str(owner["uid"]) for owner in owners if owner.get("controller")), None)


def is_driver_pod(pod: Obj) -> bool:
    return labels_of(pod).get(COMPONENT) == DRIVER_COMPONENT


def node_of(pod: Obj) -> str:
    """Returns the name of the pod's Node, or an empty text. A pod of a DaemonSet that is not scheduled names its Node in its affinity."""
    return str(pod.get("spec", {}).get("nodeName") or _intended_node(pod))


def _intended_node(pod: Obj) -> str:
    affinity = pod.get("spec", {}).get("affinity", {}).get("nodeAffinity", {})
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", {})
    fields = (each for term in required.get("nodeSelectorTerms", ()) for each in term.get("matchFields", ()))
    return next((str(each["values"][0]) for each in fields if each.get("key") == "metadata.name"), "")


APP = "app"
DRIVER_APP = "nvidia-driver-daemonset"
COMPONENT = "app.kubernetes.io/component"
DRIVER_COMPONENT = "nvidia-driver"
DRIVER_SELECTOR = f"{COMPONENT}={DRIVER_COMPONENT}"
"""Selects the DaemonSets, the pods and the ControllerRevisions of drivers."""
OWNER = "nvidia.com/gpu-operator.driver.owner"
"""Label of a Node, a DaemonSet or a driver pod: the name of the NVIDIADriver."""
GPU_PRESENT = "nvidia.com/gpu.present"
DEPLOY_DRIVER = "nvidia.com/gpu.deploy.driver"
DEPLOY_OPERANDS = "nvidia.com/gpu.deploy.operands"
PRE_INSTALLED = "pre-installed"
UPGRADE_STATE = "nvidia.com/gpu-driver-upgrade-state"
IDLE_STATES = frozenset({"", "upgrade-done", "upgrade-required", "upgrade-failed"})
"""States in which the upgrade does not work on a Node, so that the other pods of the Node need not be known."""


def upgrading_nodes(nodes: Mapping[str, Obj]) -> tuple[str, ...]:
    """Returns the names of the Nodes that the upgrade works on, sorted."""
    return tuple(
        sorted(name for name, node in nodes.items() if labels_of(node).get(UPGRADE_STATE, "") not in IDLE_STATES)
    )
