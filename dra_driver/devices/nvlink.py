"""Groups of GPUs that reach each other by NVLink, so that a claim can request GPUs of one group."""

import itertools
from collections.abc import Iterable, Mapping, Sequence

from dra_driver.devices.names import gpu_device_name
from gpu_core.domain.inventory import Gpu, GpuUuid


def nvlink_groups(gpus: Sequence[Gpu]) -> Mapping[GpuUuid, str]:
    """Returns the group of each GPU that has NVLinks.

    GPUs with NVLinks to a switch are one group. Other GPUs are one group if a path of direct NVLinks connects them. A group has the name of
    its first GPU; a group of a fabric, which contains GPUs of other nodes, has the cluster UUID and the clique.
    """
    roots = {gpu.uuid: gpu.uuid for gpu in gpus}
    for one, other in _links(gpus):
        roots = {uuid: roots[one] if root == roots[other] else root for uuid, root in roots.items()}
    return {gpu.uuid: _name(gpu, gpus, roots) for gpu in gpus if gpu.switch_links or gpu.peers or gpu.fabric}


def _links(gpus: Sequence[Gpu]) -> Iterable[tuple[GpuUuid, GpuUuid]]:
    by_address = {gpu.address: gpu.uuid for gpu in gpus if gpu.address}
    switched = [gpu.uuid for gpu in gpus if gpu.switch_links]
    yield from itertools.pairwise(switched)
    for gpu in gpus:
        yield from ((gpu.uuid, by_address[peer.address]) for peer in gpu.peers if peer.address in by_address)


def _name(gpu: Gpu, gpus: Sequence[Gpu], roots: Mapping[GpuUuid, GpuUuid]) -> str:
    if gpu.fabric:
        return f"{gpu.fabric.cluster_uuid}.{gpu.fabric.clique}"
    first = next(each for each in gpus if roots[each.uuid] == roots[gpu.uuid])
    return gpu_device_name(first)
