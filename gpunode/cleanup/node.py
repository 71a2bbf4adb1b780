"""What is ours in the cluster: on our Node by what `managedFields` and our annotations say, and the NodeFeature objects that we wrote."""

from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import quote

from device_plugin.agent import NAME as PLUGIN
from device_plugin.health.cluster import STRATEGIC
from device_plugin.health.startup_taint import CLAIM as STARTUP_TAINT
from gfd.agent import NAME as GFD
from gpunode.cleanup.owned import is_all_of, owns_condition, render_condition_gone
from nfd_lite.agent import NAME as NFD
from node_core.domain.node import NodeView
from node_core.domain.node_feature import GFD_PREFIX, WORKER_PREFIX
from node_core.domain.outputs import WantedResources
from node_core.domain.taints import RULE_TAINTS_ANNOTATION, TAINTS_ANNOTATION, TaintPlan, WantedTaints
from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.kube.node_feature import NodeFeatureApi
from node_core.publish.node import NodePublisher
from node_core.publish.resources import ResourceKeeper
from node_core.publish.taints import TaintKeeper

Step = tuple[str, Callable[[], bool]]
"""What is taken away, and what does it: whether there was any. It raises a NodeError."""

CLAIMS = ((GFD, TAINTS_ANNOTATION), (NFD, RULE_TAINTS_ANNOTATION), (PLUGIN, STARTUP_TAINT))
OBJECTS = ((NFD, WORKER_PREFIX), (GFD, GFD_PREFIX))


class LastTaints(TaintKeeper):
    """Takes the annotation along, also one that claims nothing that is there."""

    def _plan(self, live: NodeView, wanted: WantedTaints) -> TaintPlan | None:
        plan = super()._plan(live, wanted)
        if plan is None and self._claim in live.annotations:
            return TaintPlan(taints=live.taints, owned=frozenset())
        return plan


def node_steps(api: NodeApi, namespace: str) -> Iterator[Step]:
    """namespace: of the NodeFeature objects."""
    for manager, claim in CLAIMS:
        yield f"taints of {manager}", partial(LastTaints(api, manager, claim=claim).apply, WantedTaints())
    yield f"extended resources of {NFD}", partial(ResourceKeeper(api, NFD).apply, WantedResources())
    for manager in (NFD, GFD):
        yield f"labels and annotations of {manager}", partial(take_labels, api, manager)
    yield f"condition of {PLUGIN}", partial(take_condition, api)
    for manager, prefix in OBJECTS:
        feature = NodeFeatureApi(api, namespace=namespace, prefix=prefix)
        yield feature.shown, partial(take_object, feature, manager)


def take_labels(api: NodeApi, manager: str) -> bool:
    """Keys that somebody else applied as well stay theirs."""
    publisher = NodePublisher(api, manager)
    publisher.refresh()
    return publisher.publish({})


def take_condition(api: NodeApi) -> bool:
    path = f"/api/v1/nodes/{quote(api.node_name, safe='')}"
    if not owns_condition(api.request("GET", path), PLUGIN):
        return False
    api.request(
        "PATCH",
        f"{path}/status",
        query={"fieldManager": PLUGIN},
        body=render_condition_gone(),
        content=STRATEGIC,
    )
    return True


def take_object(api: NodeFeatureApi, manager: str) -> bool:
    """The whole object where it is ours alone; else our part of it."""
    try:
        live = api.get()
    except KubeError as error:
        if error.status == 404:  # the cluster knows no such objects
            return False
        raise
    if live is None or not any(entry.get("manager") == manager for entry in live.managed):
        return False
    if is_all_of(live.managed, manager):
        api.delete(live)
    else:
        api.release(manager)
    return True
