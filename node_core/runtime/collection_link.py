"""Objects of the cluster that an agent decides by: rules, and what others say of its node. One watch that holds their state."""

import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import structlog

from node_core.domain.backoff import Backoff
from node_core.domain.node_feature import node_label_problem
from node_core.errors import KubeError
from node_core.runtime import metrics
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, RulesChanged
from node_core.runtime.node_link import NodeLink
from node_core.runtime.services import Services

if TYPE_CHECKING:
    from node_core.kube.collection import Collection

log = structlog.get_logger(__name__)

ABSENT = Backoff(first=20.0, most=300.0)
"""How long to wait before we look again for objects whose kind the cluster does not know."""
MISSES = 2
"""How often in a row a cluster must say that it does not know a kind before that is believed: one that is starting says so too."""

Objects = Mapping[str, Mapping[str, Any]]


class CollectionLink:
    """state: key -> object; None while it is not known, which is not the same as none. It may be read from any thread.

    Trouble is reported as the check `<agent>/<check>`; the state then stays as it was.
    """

    def __init__(
        self,
        subject: "Collection",
        *,
        agent: str,
        check: str,
        services: Services,
        backoff: Backoff | None = None,
        absent: Backoff = ABSENT,
    ) -> None:
        from node_core.kube.watch import ObjectWatch  # noqa: PLC0415

        self.state: Objects | None = None
        self._subject = subject
        self._agent = agent
        self._check = check
        self._services = services
        self._misses = 0
        self._followers: tuple[Callable[[], None], ...] = ()
        self._watch = ObjectWatch(
            subject,
            seen=self._seen,
            failed=self._failed,
            backoff=backoff,
            absent=absent,
            rng=random.Random(),  # nosec B311 # jitter
        )

    def tell(self, mailbox: Mailbox[AgentMessage]) -> None:
        """From the start of the watch on, this mailbox is told of every new state."""
        self.follow(lambda: mailbox.post(RulesChanged()))

    def follow(self, changed: Callable[[], None]) -> None:
        """From the start of the watch on, this is called for every new state, in the thread of the watch."""
        self._followers = (*self._followers, changed)

    def look(self) -> None:
        """Asks once, for a process that runs once and does not watch. Trouble is reported, and leaves the state unknown."""
        for _ in range(MISSES):
            try:
                self._seen(self._subject.look()[0])
            except KubeError as error:
                self._failed(error)
            else:
                return

    def start(self) -> None:
        self._watch.start()

    def stop(self) -> None:
        self._watch.stop()

    def _seen(self, objects: Objects) -> None:
        self._misses = 0
        self._report(None)
        self._set(objects)

    def _failed(self, error: KubeError) -> None:
        if error.status != 404:
            self._misses = 0
            self._report(str(error))
            return
        self._misses += 1
        if self._misses == MISSES:
            log.info("kind_absent", agent=self._agent, why=str(error))
            self._report(None)
            self._set({})

    def _set(self, objects: Objects) -> None:
        if objects == self.state:
            return
        self.state = objects
        for changed in self._followers:
            changed()

    def _report(self, problem: str | None) -> None:
        self._services.readiness.report(f"{self._agent}/{self._check}", problem)
        if problem is not None:
            self._services.metrics.add(metrics.ERRORS, agent=self._agent, check=self._check)


def rules_link(node: NodeLink, *, agent: str, services: Services) -> CollectionLink:
    """All NodeFeatureRules of the cluster, by name."""
    from node_core.kube.collection import node_feature_rules  # noqa: PLC0415

    return CollectionLink(node_feature_rules(node.api), agent=agent, check="rules", services=services)


def node_features_link(node: NodeLink, *, agent: str, services: Services) -> CollectionLink | None:
    """All NodeFeatures about our Node, by `namespace/name`. None where there can be none, for the Node's name is too long a label."""
    from node_core.kube.collection import node_features_of  # noqa: PLC0415

    if node_label_problem(node.api.node_name):
        return None
    return CollectionLink(node_features_of(node.api), agent=agent, check="node-features", services=services)


def config_map_link(node: NodeLink, namespace: str, name: str, *, agent: str, services: Services) -> CollectionLink:
    """One ConfigMap, by `namespace/name`."""
    from node_core.kube.collection import config_map  # noqa: PLC0415

    services.readiness.expect(f"{agent}/config-map")
    return CollectionLink(config_map(node.api, namespace, name), agent=agent, check="config-map", services=services)
