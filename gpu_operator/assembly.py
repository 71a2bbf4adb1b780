"""The parts of gpu-operator that the settings select, and what the parts share: the leader, the client, and the informer for Nodes."""

import socket
import uuid
from collections.abc import Collection
from functools import cached_property
from typing import TypeVar

from gpu_operator.cluster.client import LeaderClient
from gpu_operator.cluster.elector import LeaderElector
from gpu_operator.feature_groups.agent import NAME as GROUPS
from gpu_operator.feature_groups.agent import ClusterState, GroupsController
from gpu_operator.feature_groups.resources import GroupApi, all_node_features, groups_of, node_metadata
from gpu_operator.feature_groups.views import NodeMetadata
from gpu_operator.garbage.agent import GarbageCollector
from gpu_operator.settings import OperatorSettings
from node_core.kube.events import EventApi
from node_core.kube.http import ApiClient
from node_core.kube.resources import Resource
from node_core.runtime.control_loop import Controller, ControlLoop, Timers
from node_core.runtime.event_recorder import EventRecorder
from node_core.runtime.informers import StateInformer
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, Resync
from node_core.runtime.process import Agent, BackgroundService
from node_core.runtime.services import Services
from node_core.runtime.settings import CommonSettings
from node_core.version import VERSION

View = TypeVar("View")
AGENT = f"gpu-operator/{VERSION}"
LEASE_TIMEOUT = (2.0, 4.0)
"""Seconds to connect, and to wait for a response, of requests for the Lease."""


class Shared:
    """What the parts of one process share. Each agent that is added receives Resync when this process begins to lead.

    namespace: of this controller. services_to_run: in the order of their start.
    """

    def __init__(self, settings: OperatorSettings, common: CommonSettings, services: Services) -> None:
        self.settings, self.common, self.services = settings, common, services
        self.namespace = settings.operator_namespace or ""
        self.agents: list[Agent] = []
        self.elector = LeaderElector(
            services,
            api=ApiClient(kubeconfig=common.kubeconfig, user_agent=AGENT, timeout=LEASE_TIMEOUT),
            namespace=self.namespace,
            identity=f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}",
            on_lead=self._announce_lead,
        )
        self.api = LeaderClient(kubeconfig=common.kubeconfig, user_agent=AGENT, is_leader=self.elector.is_leader)
        self.recorder = EventRecorder(lambda: EventApi(self.api), services)
        self.services_to_run: list[BackgroundService] = [self.elector, self.recorder]

    @cached_property
    def nodes(self) -> StateInformer[NodeMetadata]:
        """The metadata of all Nodes."""
        return self.informer(node_metadata(), agent="gpu-operator", check="nodes")

    def informer(self, resource: Resource[View], *, agent: str, check: str) -> StateInformer[View]:
        informer = StateInformer(self.api, resource, agent=agent, check=check, services=self.services)
        self.services_to_run.append(informer)
        return informer

    def add(self, controller: Controller, mailbox: Mailbox[AgentMessage], timers: Timers) -> None:
        self.agents.append(ControlLoop(controller, self.services, mailbox=mailbox, timers=timers))

    def _announce_lead(self) -> None:
        for agent in self.agents:
            agent.mailbox.post(Resync())


def add_feature_groups(shared: Shared) -> None:
    """Adds the controller of NodeFeatureGroups."""
    services, timers, mailbox = shared.services, Timers(shared.services.clock), Mailbox[AgentMessage]()
    features = shared.informer(all_node_features(), agent=GROUPS, check="node-features")
    groups = shared.informer(groups_of(shared.namespace), agent=GROUPS, check="groups")
    for informer in (shared.nodes, features, groups):
        informer.subscribe(mailbox)

    def read_state() -> ClusterState | None:
        nodes, objects, found = shared.nodes.state, features.state, groups.state
        if nodes is None or objects is None or found is None:
            return None
        return ClusterState(nodes=nodes, features=objects, groups=found)

    controller = GroupsController(
        services,
        timers,
        api=GroupApi(shared.api, GROUPS),
        namespace=shared.namespace,
        read_state=read_state,
        is_leader=shared.elector.is_leader,
        record=lambda event: shared.recorder.record(lambda: (event,)),
    )
    shared.add(controller, mailbox, timers)


def add_garbage_collector(shared: Shared, interval: float) -> None:
    """Adds the removal of objects of Nodes that are gone. interval: seconds."""
    timers, mailbox = Timers(shared.services.clock), Mailbox[AgentMessage]()
    nodes = shared.nodes

    def read_nodes() -> Collection[str] | None:
        return nodes.state

    nodes.subscribe(mailbox)
    controller = GarbageCollector(
        shared.services,
        timers,
        api=shared.api,
        read_nodes=read_nodes,
        is_leader=shared.elector.is_leader,
        interval=interval,
    )
    shared.add(controller, mailbox, timers)
