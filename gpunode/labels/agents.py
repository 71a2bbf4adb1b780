"""Runs the collectors of nfd-lite and gfd, as the agents do, and as often as a question needs. Nothing is published."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from gfd.agent import build_collector as build_gfd
from gfd.settings import GfdSettings
from gpu_core.assembly import Dependencies, mark_simulation
from gpu_core.domain.inventory import UNKNOWN_VERSION, Inventory
from gpunode.labels.rule_objects import FixedObjects, RuleObjects
from gpunode.labels.settings import AgentSettings
from nfd_lite.agent import build_collector as build_nfd
from nfd_lite.agent import select_host
from nfd_lite.node_labels import select_foreign_labels, with_node_labels
from nfd_lite.settings import NfdSettings
from nfd_lite.sources import Collection, Host
from node_core.domain.desired import CollectorResult, Desired, merge_labels
from node_core.domain.features import Features
from node_core.domain.labels import GFD_TIMESTAMP, InvalidLabel, Labels, split_valid
from node_core.domain.node import NodeView
from node_core.errors import HostReadError, NvmlError
from node_core.runtime.services import Services
from node_core.values import replace

NFD, GFD = "nfd-lite", "gfd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """The result of one pass of an agent.

    results: in order of precedence. problems: check -> why the check failed. collection: the scan of the host; empty for gfd.
    """

    agent: str
    results: tuple[CollectorResult, ...]
    problems: Mapping[str, str] = field(default_factory=dict)
    collection: Collection = field(default_factory=Collection)

    @property
    def is_unknown(self) -> bool:
        return Desired(results=self.results).is_unknown

    @property
    def labels(self) -> Labels:
        """The labels that the agent would publish on a new Node."""
        return self._split[0]

    @property
    def refused(self) -> tuple[InvalidLabel, ...]:
        return self._split[1]

    @property
    def _split(self) -> tuple[Labels, tuple[InvalidLabel, ...]]:
        return split_valid(merge_labels(self.results, {}))


class Agents:
    """Both agents on this host. rules: in addition to the rules of the host. node: the Node, without the labels of gfd."""

    def __init__(self, settings: AgentSettings, rules: RuleObjects, node: NodeView) -> None:
        self.settings = settings
        self.dependencies = settings.dependencies
        self.rules = rules
        self._node = node
        self.nfd_settings = replace(
            settings.nfd,
            rules=replace(settings.nfd.rules, configured=(*settings.nfd.rules.configured, *rules.custom)),
        )

    @cached_property
    def gfd(self) -> Pass:
        return self.run_gfd(self.settings.gfd)

    @cached_property
    def nfd(self) -> Pass:
        return self.run_nfd(self.nfd_settings)

    @cached_property
    def inventory(self) -> Inventory | None:
        """The GPUs; None if they cannot be read."""
        try:
            return self.dependencies.inventory.discover()
        except (NvmlError, HostReadError):
            return None

    @property
    def uses_nvml(self) -> bool:
        """Whether the GPUs were discovered through NVML: not on a Tegra without NVML, and not GPUs for virtual machines."""
        driver = None if self.inventory is None else self.inventory.driver
        return driver is not None and driver.version != UNKNOWN_VERSION

    @cached_property
    def host(self) -> Host:
        return select_host(self.dependencies, Services())

    @cached_property
    def features(self) -> Features:
        """The features that rules see."""
        return with_node_labels(self.nfd.collection.features, select_foreign_labels(self.node))

    @property
    def unread_features(self) -> frozenset[str]:
        """The features that could not be read, or only in part, in lower case."""
        return frozenset(name.lower() for name in self.nfd.collection.errors)

    @cached_property
    def node(self) -> NodeView:
        """The Node as nfd-lite sees it after gfd has published."""
        return replace(self._node, labels={**self._node.labels, **_without_timestamp(self.gfd.labels)})

    def run_gfd(self, settings: GfdSettings) -> Pass:
        services = Services()
        desired = Desired(results=build_gfd(lambda: settings, self.dependencies, services)())
        marked = mark_simulation(self.dependencies, desired)
        return Pass(agent=GFD, results=marked.results, problems=_problems(services))

    def run_nfd(self, settings: NfdSettings, *, is_simulated: bool = True) -> Pass:
        """is_simulated: with the simulated GPUs, if there are any, and with their labels for rules."""
        services = Services()
        dependencies = self.dependencies if is_simulated else _without_simulation(self.dependencies)
        node = self.node if is_simulated else self._node
        collector = build_nfd(settings, dependencies, services, cluster=FixedObjects(self.rules.objects))
        results = collector(node).results
        problems = {**_problems(services), **collector.collection.errors}
        return Pass(agent=NFD, results=results, problems=problems, collection=collector.collection)


def _problems(services: Services) -> dict[str, str]:
    problems = services.readiness.problems().items()
    return {check.partition("/")[2]: problem for check, problem in problems if problem is not None}


def _without_simulation(dependencies: Dependencies) -> Dependencies:
    real = copy.copy(dependencies)
    real.simulated = None
    return real


def _without_timestamp(labels: Labels) -> Labels:
    return {key: value for key, value in labels.items() if key != GFD_TIMESTAMP}
