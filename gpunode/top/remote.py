"""Reads the use of the GPUs of other nodes: the metrics of their gpu-exporter, through the API server.

The person needs the rights to list pods, and to get pods/proxy in the namespace of gpu-exporter.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from gpunode.cluster.lists import VIEWER_ROLE, list_nodes, list_pods
from gpunode.cluster.metrics import Sample, parse_samples, read_pod_metrics
from gpunode.cluster.names import read_node
from gpunode.top.use import DeviceUse, sort_uses
from node_core.errors import KubeError, NodeError
from node_core.kube.http import ApiClient
from node_core.scheduling.objects import Node, Pod

EXPORTER = "app.kubernetes.io/name=gpu-exporter"
RUNNING = "status.phase=Running"
PORT = 9400
NOT_PERMITTED = (
    "You are not permitted to get pods/proxy in the namespace {}, which gpunode top needs to read the metrics of gpu-exporter."
    f" The ClusterRole {VIEWER_ROLE} does not include this right. Ask an administrator for it, or run gpunode top on the node."
)
REQUESTS = 8
"""Requests at the same time."""
VALUES = {
    "DCGM_FI_DEV_GPU_UTIL": "utilization",
    "DCGM_FI_DEV_POWER_USAGE": "power",
    "DCGM_FI_DEV_GPU_TEMP": "temperature",
    "DCGM_FI_DEV_FB_USED": "used",
    "DCGM_FI_DEV_FB_FREE": "free",
}
INFO = "gpunode_pod_gpu_info"


class RemoteReader:
    """node: one Node. selector: a label selector. Without both, all Nodes. Used by one thread."""

    def __init__(self, api: ApiClient, node: str | None = None, selector: str = "") -> None:
        self._api, self._node, self._selector = api, node, selector
        self.notes: tuple[str, ...] = ()

    def read(self) -> tuple[DeviceUse, ...]:
        """Returns the devices. Afterwards `notes` has a sentence for each node that cannot be read. Raises NodeError."""
        pods = self._select_pods()
        with ThreadPoolExecutor(REQUESTS) as pool:
            results = list(pool.map(self._read_node, pods))
        self.notes = tuple(each for each in results if isinstance(each, str))
        uses = [use for each in results if not isinstance(each, str) for use in each]
        if not uses and self.notes:
            raise NodeError(self.notes[0].rstrip("."))
        return tuple(sort_uses(uses))

    def _select_pods(self) -> list[Pod]:
        """Raises NodeError."""
        if self._node is not None:
            read_node(self._api, self._node, Node)
            where, fields = f"on the Node {self._node}", f"{RUNNING},spec.nodeName={self._node}"
        else:
            where, fields = "on the selected nodes" if self._selector else "in the cluster", RUNNING
        pods = [pod for page in list_pods(self._api, selector=EXPORTER, fields=fields) for pod in page]
        if self._selector:
            names = self._list_names()
            pods = [pod for pod in pods if pod.spec.node_name in names]
        if not pods:
            raise NodeError(f"gpu-exporter does not run {where}", hint="install it, or run gpunode top on the node")
        return pods

    def _list_names(self) -> set[str]:
        """Returns the names of the selected Nodes. Raises NodeError if there are none."""
        names = {node.name for page in list_nodes(self._api, selector=self._selector) for node in page}
        if not names:
            raise NodeError(f"no Node has the labels {self._selector}", hint="run: gpunode nodes --all")
        return names

    def _read_node(self, pod: Pod) -> tuple[DeviceUse, ...] | str:
        try:
            return select_use(pod.spec.node_name, parse_samples(self._read_metrics(pod)))
        except (KubeError, ValueError) as error:
            if isinstance(error, KubeError) and error.status == 403:
                return NOT_PERMITTED.format(pod.metadata.namespace)
            return f"{pod.spec.node_name}: the metrics of gpu-exporter cannot be read: {error}."

    def _read_metrics(self, pod: Pod) -> str:
        return read_pod_metrics(self._api, pod.metadata.namespace, pod.metadata.name, PORT)


def select_use(node: str, samples: Iterable[Sample]) -> tuple[DeviceUse, ...]:
    """Returns the devices in the metrics of gpu-exporter, by index and GPU instance. PURE."""
    values: dict[tuple[str, str], dict[str, float]] = {}
    labels: dict[tuple[str, str], Mapping[str, str]] = {}
    pods: dict[tuple[str, str], list[str]] = {}
    for sample in samples:
        key = sample.labels.get("gpu", ""), sample.labels.get("GPU_I_ID", "")
        if sample.name in VALUES:
            labels.setdefault(key, sample.labels)
            values.setdefault(key, {})[VALUES[sample.name]] = sample.value
        if sample.labels.get("pod") and (sample.name in VALUES or sample.name == INFO):
            pods.setdefault(key, []).append(f"{sample.labels.get('namespace', '')}/{sample.labels['pod']}")
    return tuple(_use(node, key, labels[key], values[key], pods.get(key, ())) for key in sorted(values, key=_order))


def _use(
    node: str, key: tuple[str, str], labels: Mapping[str, str], values: Mapping[str, float], pods: Iterable[str]
) -> DeviceUse:
    used, free = values.get("used"), values.get("free")
    gpu, instance = key
    return DeviceUse(
        node=node,
        device=f"GPU {gpu} GI {instance}" if instance else f"GPU {gpu}",
        model=labels.get("modelName", ""),
        profile=labels.get("GPU_I_PROFILE", ""),
        utilization=values.get("utilization"),
        memory_used_mib=None if used is None else int(used),
        memory_total_mib=None if used is None or free is None else int(used + free),
        power=values.get("power"),
        temperature=values.get("temperature"),
        pods=tuple(dict.fromkeys(pods)),
    )


def _order(key: tuple[str, str]) -> tuple[tuple[int, str], ...]:
    return tuple((int(part) if part.isdecimal() else -1, part) for part in key)
