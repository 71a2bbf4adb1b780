"""Builds the parts of the agent with their concrete dependencies."""

from collections.abc import Callable, Mapping
from functools import partial

from gpu_core.assembly import Dependencies
from gpu_core.host.bound import read_bound_addresses
from gpu_core.pods.holders import PodIdentity
from gpu_exporter.device_labels import RESERVED
from gpu_exporter.exporter import Exporter
from gpu_exporter.metrics_port import MetricsPort
from gpu_exporter.pods.api_pods import PodInformer
from gpu_exporter.pods.labels import select_labels
from gpu_exporter.pods.monitor import PodMonitor, PodsSnapshot
from gpu_exporter.settings import ExporterSettings
from gpu_exporter.view import Known
from node_core.domain.pci import PciAddress
from node_core.errors import HostReadError
from node_core.kubelet.podresources import SOCKET, list_pod_devices
from node_core.kubelet.sockets import DEVICE_PLUGIN_DIR
from node_core.runtime.process import metrics_guard, tls_context
from node_core.runtime.services import Services


def build_pods(
    agent: str, settings: ExporterSettings, dependencies: Dependencies, services: Services
) -> Callable[[], PodsSnapshot]:
    """Adds the threads that read the pods to the services of the process. Returns the function that returns the pods."""
    socket = settings.pod_resources_socket or SOCKET
    monitor = PodMonitor(
        agent,
        services,
        list_pods=partial(list_pod_devices, socket),
        folder=socket.parent.parent / DEVICE_PLUGIN_DIR.name,
        api_pods=_api_pods(agent, settings, dependencies, services),
    )
    dependencies.background_services.append(monitor)
    return monitor.snapshot


def _api_pods(
    agent: str, settings: ExporterSettings, dependencies: Dependencies, services: Services
) -> Callable[[], tuple[PodIdentity, ...] | None]:
    """The function that returns the pods of the API server; without an informer if no setting needs them."""
    if not settings.reads_pods_of_api:
        return lambda: None
    informer = PodInformer(
        dependencies.node.api, agent=agent, services=services, select=partial(_select_labels, settings)
    )
    dependencies.background_services.append(informer)
    return lambda: informer.state


def _select_labels(settings: ExporterSettings, labels: Mapping[str, str]) -> Mapping[str, str]:
    return select_labels(labels, settings.patterns, RESERVED) if settings.has_pod_labels else {}


def build_exporter(settings: ExporterSettings, node_name: str, collect: Callable[[], Known]) -> Exporter:
    return Exporter(collect, settings.selection, settings.label_options(node_name), window_ms=settings.window)


def build_port(
    agent: str, settings: ExporterSettings, dependencies: Dependencies, services: Services, exporter: Exporter
) -> MetricsPort:
    """Builds the port, with TLS and authorization as for the health port."""
    common = dependencies.common
    return MetricsPort(
        settings.listen,
        exporter,
        services.readiness,
        context=tls_context(common, services, f"{agent}/certificate"),
        guard=metrics_guard(common),
    )


def read_bound(dependencies: Dependencies) -> frozenset[PciAddress]:
    """Returns the functions that the driver uses; none if they are unknown, or if the GPUs are simulated."""
    if dependencies.simulated is not None:
        return frozenset()
    try:
        return read_bound_addresses(dependencies.root)
    except HostReadError:
        return frozenset()
