"""Reads the kubelet and the host, and returns the desired NodeResourceTopology object."""

import structlog

from nfd_lite.topology.fingerprint import fingerprint
from nfd_lite.topology.kubelet_config import read_kubelet_config
from nfd_lite.topology.kubelet_policy import KubeletPolicy, parse_kubelet_policy
from nfd_lite.topology.node_topology import NodeTopology
from nfd_lite.topology.numa import read_numa_nodes
from nfd_lite.topology.settings import TopologySettings
from nfd_lite.topology.zones import plan_zones
from node_core.errors import KubeletError
from node_core.host.root import FileStamp, HostRoot
from node_core.kubelet.allocations import read_node_resources

log = structlog.get_logger(__name__)


class Scanner:
    """Retains the last configuration of the kubelet, because the configuration changes only when the kubelet starts again.

    A kubelet that starts creates a new socket, so the configuration is read again if the socket is another file.
    """

    def __init__(self, settings: TopologySettings, root: HostRoot) -> None:
        self._settings = settings
        self._root = root
        self._policy: KubeletPolicy | None = None
        self._socket: FileStamp | None = None
        self._problem = ""

    def scan(self, *, reads_config: bool) -> NodeTopology:
        """Returns the desired object. reads_config: read the configuration of the kubelet again.

        Raises KubeletError or HostReadError. If the configuration was read before, a failure to read it again is only logged.
        """
        policy = self._find_policy(reads_config=reads_config)
        resources = read_node_resources(self._settings.socket)
        zones = plan_zones(
            read_numa_nodes(self._root),
            resources,
            namespace=self._settings.namespace,
            excluded=self._settings.excluded,
        )
        pods = ((pod.namespace, pod.name) for pod in resources.pods)
        return NodeTopology(
            policy=policy, zones=zones, fingerprint=fingerprint(pods) if self._settings.has_fingerprint else None
        )

    def _find_policy(self, *, reads_config: bool) -> KubeletPolicy:
        socket = HostRoot().stamp(str(self._settings.socket))
        is_current = socket == self._socket and not reads_config
        return self._policy if is_current and self._policy is not None else self._read_policy(socket)

    def _read_policy(self, socket: FileStamp | None) -> KubeletPolicy:
        """socket: the socket of the kubelet before the request. After a failure, the next scan reads the configuration of this kubelet."""
        try:
            document = read_kubelet_config(self._settings.config_uri, self._settings.token_file, self._settings.ca_file)
            self._policy, self._socket, problem = parse_kubelet_policy(document), socket, ""
        except KubeletError as error:
            if self._policy is None:
                raise
            problem = str(error)
        if problem and problem != self._problem:
            log.warning("kubelet_config_not_read", why=problem, effect="its last policy remains published")
        self._problem = problem
        return self._policy
