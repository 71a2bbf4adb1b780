"""nfd-lite put together: the host's features, the rules on them, and everything that follows on the Node."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from nfd_lite.collector import Collector, WhiteList
from nfd_lite.feature_files import Alarm, watch_feature_files
from nfd_lite.rule_pass import Rules, RuleSettings
from nfd_lite.sources import Host, SourceSettings
from node_core.assembly import Destination, Edges, choose_publisher
from node_core.domain.features import Features, without_features
from node_core.domain.labels import Collected
from node_core.domain.merge import Place
from node_core.domain.node_feature import WORKER_PREFIX
from node_core.domain.taints import RULE_TAINTS_ANNOTATION
from node_core.host.cpuid import read_cpu
from node_core.publish.api import Publisher
from node_core.publish.outputs import OutputsPublisher
from node_core.publish.resources import ResourceKeeper
from node_core.publish.taints import TaintKeeper
from node_core.runtime.collection_link import CollectionLink, node_features_link, rules_link
from node_core.runtime.labelling import LabelAgent
from node_core.runtime.messages import Pass
from node_core.runtime.rule_reporter import RuleReporter
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

NAME = "nfd-lite"
OUTPUT_FILE = Path("/etc/kubernetes/node-feature-discovery/features.d/nfd-lite")


@dataclass(frozen=True, slots=True, kw_only=True)
class NfdSettings:
    """What nfd-lite takes beside the common settings; see Collector and RuleSettings.

    cluster_rules: evaluate the cluster's NodeFeatureRules. others: merge what others wrote of our Node.
    hidden_features: left out of a NodeFeature object, `<source>.<feature>` or a beginning with `*`. notes: settings without effect.
    """

    label_sources: frozenset[str]
    source_settings: SourceSettings
    white_list: WhiteList | None
    publish: Destination = "node"
    output_file: Path = OUTPUT_FILE
    rules: RuleSettings = field(default_factory=RuleSettings)
    cluster_rules: bool = True
    others: bool = False
    hidden_features: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def build_agent(settings: NfdSettings, edges: Edges, services: Services) -> LabelAgent:
    """An agent that is not started yet. What has to run beside it is left with the edges."""
    for note in settings.notes:
        log.info("setting_without_effect", why=note)
    on_node = settings.publish == "node"
    cluster = rules_link(edges.node, agent=NAME, services=services) if on_node and settings.cluster_rules else None
    others = node_features_link(edges.node, agent=NAME, services=services) if on_node and settings.others else None
    links = [link for link in (cluster, others) if link is not None]
    rules = _rules(settings, edges, services, cluster, others)
    alarm = Alarm(lambda: agent.mailbox.post(Pass()), services.wall)
    collector = _collector(settings, edges, services, rules, alarm.set)
    publisher = choose_publisher(
        edges,
        settings.publish,
        settings.output_file,
        NAME,
        prefix=WORKER_PREFIX,
        features=lambda: without_features(collector.features, settings.hidden_features),
        outputs=lambda: rules.outputs,
    )
    agent = LabelAgent(
        NAME,
        collect=collector,
        publisher=_with_outputs(publisher, rules, edges, settings) if on_node else publisher,
        services=services,
        lock=edges.lock(NAME),
    )
    for link in links:
        link.tell(agent.mailbox)
    edges.collections += links
    for folder in (settings.source_settings.features_dir, settings.rules.custom_dir):
        edges.parts.append(watch_feature_files(edges.root, folder, lambda: agent.mailbox.post(Pass())))
    edges.parts.append(alarm)
    return agent


def look_once(settings: NfdSettings, edges: Edges, services: Services) -> tuple[Features, Sequence[Collected]]:
    """This host's features and labels, by all rules but the cluster's."""
    rules = _rules(settings, edges, services, None, None)
    collector = _collector(settings, edges, services, rules, lambda _: None)
    collected = collector()
    return collector.features, collected


def _collector(
    settings: NfdSettings, edges: Edges, services: Services, rules: Rules, look_again: Callable[[float | None], None]
) -> Collector:
    host = Host(
        root=edges.root,
        cpu=read_cpu,
        node_name=edges.common.node_name or None,
        extra_pci=edges.extra_pci(),
        gpus_off_pci=edges.gpus_off_pci(),
        now=services.wall,
    )
    return Collector(
        host,
        settings.source_settings,
        rules,
        label_sources=settings.label_sources,
        white_list=settings.white_list,
        readiness=services.readiness,
        look_again=look_again,
        name=NAME,
    )


def _rules(
    settings: NfdSettings,
    edges: Edges,
    services: Services,
    cluster: CollectionLink | None,
    others: CollectionLink | None,
) -> Rules:
    node_name = edges.common.node_name
    events, namespace = None, ""
    if cluster is not None:
        from node_core.kube.events import EventApi  # noqa: PLC0415
        from node_core.kube.node_feature import read_pod_namespace  # noqa: PLC0415

        events, namespace = EventApi(edges.node.api), read_pod_namespace()
    return Rules(
        settings.rules,
        edges.root,
        RuleReporter(events, agent=NAME, node_name=node_name, services=services),
        place=Place(node_name=node_name, namespace=namespace),
        cluster=cluster,
        others=others,
    )


def _with_outputs(labels: Publisher, rules: Rules, edges: Edges, settings: NfdSettings) -> Publisher:
    """Labels, and what rules want on the Node beside them."""
    api = edges.node.api
    return OutputsPublisher(
        labels,
        outputs=lambda: rules.outputs,
        taints=TaintKeeper(api, NAME, claim=RULE_TAINTS_ANNOTATION),
        resources=ResourceKeeper(api, NAME),
        enable_taints=settings.rules.taints,
    )
