"""Builds the nfd-lite agent: the features of the host, the rules, and their outputs on the Node."""

from gpu_core.assembly import Dependencies, choose_writer
from nfd_lite.collector import Collector
from nfd_lite.cpu.cpuid import read_cpu
from nfd_lite.merge import NodeContext
from nfd_lite.node_labels import MANAGER, select_foreign_labels
from nfd_lite.rule_pass import ObjectInformer, RuleInformers, Rules
from nfd_lite.rule_reporter import RuleReporter
from nfd_lite.settings import NfdSettings
from nfd_lite.sources import Host
from nfd_lite.user_files import watch_folder
from node_core.domain.node_feature import WORKER_PREFIX
from node_core.domain.reconcile import FieldOwner
from node_core.domain.taints import RULE_TAINTS_ANNOTATION
from node_core.kube.node_feature import read_pod_namespace
from node_core.runtime.control_loop import Timers
from node_core.runtime.event_recorder import EventRecorder
from node_core.runtime.informers import (
    node_features_informer,
    openshift_rules_informer,
    rules_informer,
)
from node_core.runtime.label_controller import LabelController, LabelLoop
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, Resync
from node_core.runtime.services import Services

NAME = MANAGER


def build_agent(settings: NfdSettings, dependencies: Dependencies, services: Services) -> LabelLoop:
    """Builds an agent that is not started yet. Adds the services that must run with the agent to `dependencies`."""
    on_node, node = settings.publish == "node", dependencies.node
    rules = [
        make(node, agent=NAME, services=services)
        for make in (rules_informer, openshift_rules_informer)
        if on_node and settings.cluster_rules
    ]
    cluster = RuleInformers(*rules) if rules else None
    others = (
        node_features_informer(node, agent=NAME, services=services)
        if on_node and settings.merges_node_features
        else None
    )
    informers = [informer for informer in (*rules, others) if informer is not None]
    mailbox: Mailbox[AgentMessage] = Mailbox()
    timers = Timers(services.clock)
    owner = FieldOwner(
        manager=NAME,
        taints_annotation=RULE_TAINTS_ANNOTATION if on_node else "",
        may_overwrite=settings.restrictions.allow_overwrite is not False,
    )
    controller = LabelController(
        NAME,
        collect=build_collector(
            settings,
            dependencies,
            services,
            cluster=cluster,
            others=others,
            recorder=None if cluster is None else dependencies.event_recorder(services),
        ),
        writer=choose_writer(dependencies, settings.publish, settings.output_file, owner, prefix=WORKER_PREFIX),
        services=services,
        timers=timers,
        reads=select_foreign_labels if on_node else lambda _: None,
    )
    for informer in informers:
        informer.subscribe(mailbox)
    dependencies.collections += informers
    for folder in (settings.source_settings.features_dir, settings.rules.custom_dir):
        dependencies.background_services.append(watch_folder(dependencies.root, folder, lambda: mailbox.post(Resync())))
    return LabelLoop(controller, services, mailbox=mailbox, timers=timers, lock=dependencies.lock(NAME))


def build_collector(
    settings: NfdSettings,
    dependencies: Dependencies,
    services: Services,
    *,
    cluster: ObjectInformer | None = None,
    others: ObjectInformer | None = None,
    recorder: EventRecorder | None = None,
) -> Collector:
    """Builds the collector of this host. cluster, others: see Rules; None for the host without the objects of the cluster.

    recorder: records the problems of rules as Events.
    """
    node_name = dependencies.common.node_name
    rules = Rules(
        settings.rules,
        dependencies.root,
        RuleReporter(recorder, agent=NAME, node_name=node_name, services=services),
        context=NodeContext(node_name=node_name, namespace="" if others is None else read_pod_namespace()),
        cluster=cluster,
        others=others,
    )
    return Collector(select_host(dependencies, services), settings, rules, services.readiness)


def select_host(dependencies: Dependencies, services: Services) -> Host:
    """Returns the host to scan, with the PCI functions of simulated GPUs."""
    simulated = dependencies.simulated
    return Host(
        root=dependencies.root,
        cpu=read_cpu,
        node_name=dependencies.common.node_name or None,
        extra_pci=simulated.pci_attributes if simulated else (),
        has_gpus_off_pci=simulated is not None and simulated.has_gpus_off_pci,
        now=services.wall,
    )
