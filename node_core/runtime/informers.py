"""The informers of the agents. Changes in the cluster are sent to mailboxes and callbacks, and problems to metrics and readiness checks."""

import time
from collections.abc import Callable, Mapping

import structlog

from node_core.domain.backoff import Backoff
from node_core.domain.labels import Labels
from node_core.domain.node import NodeView
from node_core.domain.node_feature import (
    GFD_PREFIX,
    NodeFeatureView,
    node_label_problem,
)
from node_core.errors import KubeError
from node_core.kube import resources
from node_core.kube.client import NodeApi
from node_core.kube.http import NODE_NOT_FOUND_HINT, ApiClient
from node_core.kube.informer import Informer
from node_core.kube.node_feature import NodeFeatureApi, read_pod_namespace
from node_core.kube.resources import Obj, Resource, View
from node_core.runtime import metrics
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, InputsChanged, NodeChanged, NodeFeatureChanged, NodeUnavailable
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

MISSING_BACKOFF = Backoff(first=20.0, maximum=300.0)
"""Delays between list requests for a resource kind that the cluster does not have."""
MAX_MISSES = 2
"""Number of consecutive 404 responses after which a resource kind counts as missing: an API server that is starting also returns 404."""
RETRY_SECONDS = 5.0
"""Seconds between these requests with --oneshot."""


class NodeInformer(Informer[NodeView]):
    """The informer for the Node of the agents. All agents of a process share the informer: one connection pool and one watch.

    labels, container_runtime: in the last observed state; None and empty before the first state. Readable from any thread.
    """

    def __init__(self, node_name: str, *, kubeconfig: str | None, user_agent: str) -> None:
        self.api = NodeApi(node_name, kubeconfig=kubeconfig, user_agent=user_agent)
        self.labels: Labels | None = None
        self.container_runtime = ""
        self._mailboxes: tuple[Mailbox[AgentMessage], ...] = ()
        self._callbacks: tuple[tuple[str, Callable[[], None]], ...] = ()
        super().__init__(self.api, resources.node(node_name), on_change=self._post_state, on_error=self._post_error)

    def subscribe(self, mailbox: Mailbox[AgentMessage]) -> None:
        """Call before `start`. The mailbox receives NodeChanged for each state, and NodeUnavailable for a missing Node or a failure."""
        self._mailboxes = (*self._mailboxes, mailbox)

    def on_label_change(self, key: str, callback: Callable[[], None]) -> None:
        """Call before `start`. The callback is called for the first state of the Node, and when the value of the label changes."""
        self._callbacks = (*self._callbacks, (key, callback))

    def _post_state(self, nodes: Mapping[str, NodeView]) -> None:
        view = nodes.get(self.api.node_name)
        if view is None:
            self._post_error(self._missing())
            return
        before, self.labels = self.labels, view.labels
        self.container_runtime = view.container_runtime
        for key, callback in self._callbacks:
            if before is None or before.get(key) != view.labels.get(key):
                callback()
        self._post(NodeChanged(view))

    def _missing(self) -> KubeError:
        if self.labels is not None:
            return KubeError(f"{self.resource.description} was deleted", status=404)
        return KubeError(f'nodes "{self.api.node_name}" not found', status=404, hint=NODE_NOT_FOUND_HINT)

    def _post_error(self, error: KubeError) -> None:
        self._post(NodeUnavailable(error))

    def _post(self, message: AgentMessage) -> None:
        for mailbox in self._mailboxes:
            mailbox.post(message)


class NodeFeatureInformer(Informer[NodeFeatureView]):
    """The informer for the NodeFeature object that the agent writes. A failure is only logged: the agent knows its writes without a watch.

    manager: the field manager, for the log. namespace: None for the namespace of the pod. prefix: the part of the object name before the
    name of the Node.
    """

    def __init__(
        self, node: NodeInformer, manager: str, *, namespace: str | None = None, prefix: str = GFD_PREFIX
    ) -> None:
        self.features = NodeFeatureApi(node.api, namespace=namespace or read_pod_namespace(), prefix=prefix)
        self._manager = manager
        self._key = f"{self.features.namespace}/{self.features.name}"
        self._is_failing = False
        self._mailboxes: tuple[Mailbox[AgentMessage], ...] = ()
        super().__init__(node.api, self.features.resource, on_change=self._post_state, on_error=self._log_failure)

    def subscribe(self, mailbox: Mailbox[AgentMessage]) -> None:
        """Call before `start`. The mailbox receives NodeFeatureChanged for every state of the object."""
        self._mailboxes = (*self._mailboxes, mailbox)

    def _post_state(self, objects: Mapping[str, NodeFeatureView]) -> None:
        self._is_failing = False
        for mailbox in self._mailboxes:
            mailbox.post(NodeFeatureChanged(objects.get(self._key)))

    def _log_failure(self, error: KubeError) -> None:
        if not self._is_failing:
            log.warning("node_feature_watch_failed", manager=self._manager, why=str(error))
        self._is_failing = True


class StateInformer(Informer[View]):
    """The informer for objects of which a program reads the last state.

    state: key -> object. None while the state is unknown; an empty mapping if there are no objects. Readable from any thread.
    Errors are reported as the check `<agent>/<check>`, and do not change the state. If the kind is optional, the first response that the
    kind is missing is an empty state. sleep: for `list_once`, in seconds.
    """

    def __init__(
        self,
        api: ApiClient,
        resource: Resource[View],
        *,
        agent: str,
        check: str,
        services: Services,
        backoff: Backoff | None = None,
        missing_backoff: Backoff = MISSING_BACKOFF,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.state: Mapping[str, View] | None = None
        self._agent = agent
        self._check = check
        self._services = services
        self._sleep = sleep
        self._misses = 0
        self._callbacks: tuple[Callable[[], None], ...] = ()
        super().__init__(
            api,
            resource,
            on_change=self._observe,
            on_error=self._observe_error,
            backoff=backoff,
            missing_backoff=missing_backoff,
        )

    def subscribe(self, mailbox: Mailbox[AgentMessage]) -> None:
        """Call before `start`. The mailbox receives InputsChanged for every new state."""
        self.on_change(lambda: mailbox.post(InputsChanged()))

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call before `start`. The callback is called for every new state, in the informer's thread."""
        self._callbacks = (*self._callbacks, callback)

    def list_once(self) -> None:
        """Lists the objects once, for a process that does not watch. An error is reported, and the state remains unknown."""
        error = self._observe_list()
        if error is not None and error.status == 404 and not self.resource.is_optional:
            self._sleep(RETRY_SECONDS)
            self._observe_list()

    def _observe_list(self) -> KubeError | None:
        try:
            self._observe(self.list_objects())
        except KubeError as error:
            self._observe_error(error)
            return error
        return None

    def _observe(self, objects: Mapping[str, View]) -> None:
        self._misses = 0
        self._set_problem(None)
        self._set_state(objects)

    def _observe_error(self, error: KubeError) -> None:
        if self.resource.is_optional and not self.state and error.status in self.resource.missing:
            self._observe({})
            return
        if error.status != 404:
            self._misses = 0
            self._set_problem(str(error))
            return
        self._misses += 1
        if self._misses == MAX_MISSES:
            log.info("resource_kind_missing", agent=self._agent, why=str(error))
            self._set_problem(None)
            self._set_state({})

    def _set_state(self, objects: Mapping[str, View]) -> None:
        if objects == self.state:
            return
        self.state = objects
        for callback in self._callbacks:
            callback()

    def _set_problem(self, problem: str | None) -> None:
        self._services.readiness.report(f"{self._agent}/{self._check}", problem)
        if problem is not None:
            self._services.metrics.add(metrics.ERRORS, agent=self._agent, check=self._check)


class CollectionInformer(StateInformer[Obj]):
    """The informer for objects that an agent only reads: rules, NodeFeatures of other writers, a ConfigMap."""


def rules_informer(node: NodeInformer, *, agent: str, services: Services) -> CollectionInformer:
    """Returns the informer for all NodeFeatureRules of the cluster. Keys: names."""
    return CollectionInformer(node.api, resources.node_feature_rules(), agent=agent, check="rules", services=services)


def openshift_rules_informer(node: NodeInformer, *, agent: str, services: Services) -> CollectionInformer:
    """Returns the informer for the NodeFeatureRules of OpenShift. Keys: `name`, or `namespace/name`."""
    resource = resources.openshift_rules()
    return CollectionInformer(node.api, resource, agent=agent, check="openshift-rules", services=services)


def node_features_informer(node: NodeInformer, *, agent: str, services: Services) -> CollectionInformer | None:
    """Returns the informer for all NodeFeatures of the Node, with keys `namespace/name`. None: the Node's name is too long for a label."""
    name = node.api.node_name
    if node_label_problem(name):
        return None
    resource = resources.node_features_of(name)
    return CollectionInformer(node.api, resource, agent=agent, check="node-features", services=services)


def config_map_informer(
    node: NodeInformer, namespace: str, name: str, *, agent: str, services: Services
) -> CollectionInformer:
    """Returns the informer for one ConfigMap. Key: `namespace/name`."""
    services.readiness.expect(f"{agent}/config-map")
    resource = resources.config_map(namespace, name)
    return CollectionInformer(node.api, resource, agent=agent, check="config-map", services=services)
