"""Reads the Pods that have devices, and the driver pods, as far as they are needed.

A large cluster has far more Pods than one page, and the API server cannot select Pods by the resources that they request. But it has an
index of Pods by Node, which every kubelet uses. So the Pods of a few Nodes need a few small requests, and the memory is bounded.
"""

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from queue import SimpleQueue

from gpunode.cluster.fleet import NodePod, has_gpus, select_pods
from gpunode.cluster.lists import PODS, UNFINISHED, count_objects, list_pages
from gpunode.cluster.objects import DetailedPod
from node_core.kube.http import ApiClient
from node_core.scheduling.objects import Node

REQUESTS = 8
"""Requests at the same time: fewer than the connections of ApiClient."""

FEW_PODS = 2000
"""A list of so many Pods is read in less than a second."""

Result = Future[list[NodePod]]


class HolderReader:
    """Reads all Pods of a small cluster at the start, and in other clusters those of each Node when they are needed. Raises KubeError."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._waiting: SimpleQueue[tuple[str, Result]] = SimpleQueue()
        self._is_started = False
        count = count_objects(api, PODS)
        is_small = count is not None and count <= FEW_PODS
        pages = list_pages(api, PODS, DetailedPod, {"fieldSelector": UNFINISHED}) if is_small else ()
        self._all = select_pods(pod for page in pages for pod in page) if is_small else None

    def read(self, nodes: Iterable[Node]) -> Iterator[list[NodePod]]:
        """Yields what the Pods of each Node mean for its GPUs, in the order of the Nodes. A Node without GPUs needs no request.

        Raises KubeError.
        """
        if self._all is not None:
            yield from (self._all.get(node.name, []) for node in nodes)
            return
        self._start()
        results = [self._submit(node.name) if has_gpus(node) else None for node in nodes]
        yield from ([] if each is None else each.result() for each in results)

    def _start(self) -> None:
        """Starts daemon threads: unlike those of ThreadPoolExecutor, they do not delay the end of the process after Ctrl-C."""
        for number in range(0 if self._is_started else REQUESTS):
            threading.Thread(target=self._work, name=f"pods {number}", daemon=True).start()
        self._is_started = True

    def _submit(self, name: str) -> Result:
        result: Result = Future()
        self._waiting.put((name, result))
        return result

    def _work(self) -> None:
        while True:
            name, result = self._waiting.get()
            try:
                result.set_result(select_pods(read_pods_of(self._api, name)).get(name, []))
            except Exception as error:  # noqa: BLE001 - `read` raises it
                result.set_exception(error)


def read_pods_of(api: ApiClient, node: str) -> tuple[DetailedPod, ...]:
    """Returns the unfinished Pods of a Node from the cache of the API server, which has the index. Raises KubeError."""
    query = {"fieldSelector": f"spec.nodeName={node},{UNFINISHED}", "resourceVersion": "0"}
    return tuple(pod for page in list_pages(api, PODS, DetailedPod, query) for pod in page)
